//! How much memory the machine, or the container, has.

use std::fs;

/// Where the kernel does not say: enough for sixteen tasks at their default bound.
const UNKNOWN: u64 = 8 << 30;

/// Half of the machine's memory, or of what the control group allows.
pub(super) fn half_of_ram() -> usize {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total(&text));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let bytes: u64 = machine.into_iter().chain(group).min().unwrap_or(UNKNOWN);
    usize::try_from(bytes / 2).unwrap_or(usize::MAX)
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_number_is_read_in_bytes() {
        let text = "MemTotal:       24590364 kB\nMemFree:         111 kB\n";
        assert_eq!(total(text), Some(24_590_364 * 1024));
        assert_eq!(total("nothing"), None);
    }
}
