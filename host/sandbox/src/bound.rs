//! The bounds that end a task: by which key the operator sets each, what the error is called, and how often tasks met it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bound of one task. Reaching it ends the task with an error kind that no other bound has, except that both bounds
/// on memory are [`MemoryLimitExceeded`](Bound::kind), whose message names the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Cpu,
    Wall,
    Memory,
    TotalMemory,
    TableElements,
    Stack,
    Output,
    HostCall,
    Depth,
    Sends,
    Events,
    EventRate,
    EventBytes,
    Messages,
    LogLines,
    LogRate,
    HttpCalls,
    StoreCalls,
    StoreBytes,
    Handles,
    InstanceWait,
}

/// All of them, in the order of the configuration's page.
const ALL: [Bound; 21] = [
    Bound::Cpu,
    Bound::Wall,
    Bound::Memory,
    Bound::TotalMemory,
    Bound::TableElements,
    Bound::Stack,
    Bound::Output,
    Bound::HostCall,
    Bound::Depth,
    Bound::Sends,
    Bound::Events,
    Bound::EventRate,
    Bound::EventBytes,
    Bound::Messages,
    Bound::LogLines,
    Bound::LogRate,
    Bound::HttpCalls,
    Bound::StoreCalls,
    Bound::StoreBytes,
    Bound::Handles,
    Bound::InstanceWait,
];

impl Bound {
    /// The key below `sandbox`, which is the metric's label too.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_ms",
            Self::Wall => "wall_secs",
            Self::Memory => "memory_bytes",
            Self::TotalMemory => "total_memory_bytes",
            Self::TableElements => "table_elements",
            Self::Stack => "stack_bytes",
            Self::Output => "output_bytes",
            Self::HostCall => "hostcall_bytes",
            Self::Depth => "json_depth",
            Self::Sends => "sends",
            Self::Events => "events",
            Self::EventRate => "events_per_sec",
            Self::EventBytes => "event_bytes",
            Self::Messages => "messages",
            Self::LogLines => "log_lines",
            Self::LogRate => "log_lines_per_sec",
            Self::HttpCalls => "http_calls",
            Self::StoreCalls => "store_calls",
            Self::StoreBytes => "store_bytes",
            Self::Handles => "handles",
            Self::InstanceWait => "instance_wait_secs",
        }
    }

    /// What callers see as `error`.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "CpuLimitExceeded",
            Self::Wall => "WallClockExceeded",
            Self::Memory | Self::TotalMemory => "MemoryLimitExceeded",
            Self::TableElements => "TableLimitExceeded",
            Self::Stack => "StackLimitExceeded",
            Self::Output => "OutputLimitExceeded",
            Self::HostCall => "HostCallLimitExceeded",
            Self::Depth => "DepthLimitExceeded",
            Self::Sends => "SendLimitExceeded",
            Self::Events => "EventLimitExceeded",
            Self::EventRate => "EventRateExceeded",
            Self::EventBytes => "EventByteLimitExceeded",
            Self::Messages => "MessageLimitExceeded",
            Self::LogLines => "LogLimitExceeded",
            Self::LogRate => "LogRateExceeded",
            Self::HttpCalls => "HttpCallLimitExceeded",
            Self::StoreCalls => "StoreCallLimitExceeded",
            Self::StoreBytes => "StoreByteLimitExceeded",
            Self::Handles => "HandleLimitExceeded",
            Self::InstanceWait => "InstanceWaitExceeded",
        }
    }
}

/// A bound that a task went beyond. Travels through wasmtime as the error that ends the guest.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {message}", .bound.kind())]
pub(crate) struct Exceeded {
    pub(crate) bound: Bound,
    pub(crate) message: String,
}

impl Exceeded {
    /// `what` is a sentence without its end: the key is added.
    pub(crate) fn new(bound: Bound, what: impl std::fmt::Display) -> Self {
        Self {
            bound,
            message: format!("{what} (sandbox.{})", bound.key()),
        }
    }
}

/// Tasks that a bound ended, since the process began.
#[derive(Default)]
pub(crate) struct Counts([AtomicU64; ALL.len()]);

impl Counts {
    pub(crate) fn count(&self, bound: Bound) {
        for (_, counter) in ALL.iter().zip(&self.0).filter(|(own, _)| **own == bound) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// By the bounds' keys.
    pub(crate) fn read(&self) -> Vec<(&'static str, u64)> {
        ALL.iter()
            .zip(&self.0)
            .map(|(bound, counter)| (bound.key(), counter.load(Ordering::Relaxed)))
            .collect()
    }
}

/// How many of something in each second: at most twice the rate in any one second, for the seconds are counted from the
/// first, so that the clock is read only where there is something to refuse.
pub(crate) struct Rate {
    per_sec: u32,
    since: std::time::Instant,
    count: u32,
}

impl Rate {
    pub(crate) fn new(per_sec: u32) -> Self {
        Self {
            per_sec,
            since: std::time::Instant::now(),
            count: 0,
        }
    }

    /// Counts one more; `false`: it came too soon.
    pub(crate) fn allows(&mut self) -> bool {
        const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
        if self.count >= self.per_sec {
            if self.since.elapsed() < SECOND {
                return false;
            }
            self.since = std::time::Instant::now();
            self.count = 0;
        }
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn every_bound_has_a_key_and_a_kind_of_its_own() {
        let keys: HashSet<_> = ALL.iter().map(|bound| bound.key()).collect();
        assert_eq!(keys.len(), ALL.len());
        let kinds: HashSet<_> = ALL.iter().map(|bound| bound.kind()).collect();
        assert_eq!(
            kinds.len(),
            ALL.len() - 1,
            "both bounds on memory share one"
        );
    }

    #[test]
    fn a_rate_holds_for_each_second() {
        let mut rate = Rate::new(3);
        assert_eq!(
            [(); 5].map(|()| rate.allows()),
            [true, true, true, false, false]
        );
        rate.since = Instant::now()
            .checked_sub(Duration::from_secs(2))
            .expect("a machine that has been up for seconds");
        assert_eq!([(); 4].map(|()| rate.allows()), [true, true, true, false]);
        assert!(!Rate::new(0).allows());
    }
}
