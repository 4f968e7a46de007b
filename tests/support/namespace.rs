//! A disk of a server's own, in a mount namespace that ends with the process: so a full and a read-only one are real.
//!
//! It takes `unshare` and `mount` of util-linux and the right to make a user namespace, which root has and most systems
//! give to anybody. Where they do not, the server does not start, and the test fails with what `unshare` said.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::SELVEDGE;

/// What kind of disk it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// One that holds so many KiB.
    OfKib(u64),
    /// One that is as the data directory was before, and cannot be written to.
    ReadOnly,
}

/// Mounts `$3` with the size `$2`, brings what is in `$1` there, and becomes the rest of the command line.
const MOUNT: &str = r#"
    set -e
    mount -t tmpfs -o "size=$2" tmpfs "$3"
    cp -a "$1/." "$3"
    if [ "$4" = read-only ]; then mount -o remount,bind,ro "$3"; fi
    shift 4
    exec "$@"
"#;

impl Disk {
    /// The binary under test, with the disk mounted at `at` and what `data` holds on it.
    pub fn command(self, data: &Path, at: &Path) -> Command {
        std::fs::create_dir_all(at).expect("a place to mount at");
        let (size, access) = match self {
            Self::OfKib(kib) => (format!("{kib}k"), "writable"),
            Self::ReadOnly => ("64m".to_owned(), "read-only"),
        };
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"])
            .arg(data)
            .arg(size)
            .arg(at)
            .arg(access)
            .arg(SELVEDGE);
        command
    }
}

/// A path as the process sees it.
pub fn as_seen_by(pid: u32, path: &Path) -> PathBuf {
    let path = path.strip_prefix("/").expect("an absolute path");
    Path::new("/proc")
        .join(pid.to_string())
        .join("root")
        .join(path)
}
