//! Log lines, which the host ties to the run and the node that wrote them.

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following every move.
    Trace,
    /// For finding a mistake.
    Debug,
    /// What an operator may want to know.
    Info,
    /// Something is odd, and the work goes on.
    Warn,
    /// Something failed.
    Error,
}

/// Writes one line. The host ends a task that writes more than its `sandbox.log_lines` (10,000 by default).
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::export::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::note(level, message);
}

/// Writes a log line at level trace: `trace!("{n} items")`.
#[macro_export]
macro_rules! trace { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($text)+)) }; }
/// Writes a log line at level debug: `debug!("{n} items")`.
#[macro_export]
macro_rules! debug { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)+)) }; }
/// Writes a log line at level info: `info!("{n} items")`.
#[macro_export]
macro_rules! info { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($text)+)) }; }
/// Writes a log line at level warn: `warn!("{n} items")`.
#[macro_export]
macro_rules! warn { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($text)+)) }; }
/// Writes a log line at level error: `error!("{n} items")`.
#[macro_export]
macro_rules! error { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($text)+)) }; }
