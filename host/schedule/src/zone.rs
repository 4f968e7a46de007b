//! IANA time zones as stretches between two changes of their clocks.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use selvedge_model::Timestamp as Instant;

/// An IANA time zone, with the rules of the release that the program was built with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// There is no IANA time zone of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone; write an IANA name such as Europe/Berlin or UTC")]
pub struct UnknownZone;

impl Zone {
    /// Seconds by which clocks are ahead of UTC at an instant.
    #[must_use]
    pub fn offset_seconds(&self, at: Instant) -> i32 {
        let at = Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
        self.0.to_offset(at).seconds()
    }

    /// From the stretch that an instant lies in: it, and those that follow.
    pub(crate) fn stretches(&self, from: Timestamp) -> impl Iterator<Item = Stretch> {
        let mut next = Some(Stretch {
            begin: from,
            end: from,
            before: self.0.to_offset(from),
            offset: self.0.to_offset(from),
        });
        let mut changes = self.0.following(from);
        std::iter::from_fn(move || {
            let mut stretch = next.take()?;
            match changes.next() {
                Some(change) => {
                    stretch.end = change.timestamp();
                    next = Some(Stretch {
                        begin: change.timestamp(),
                        end: change.timestamp(),
                        before: stretch.offset,
                        offset: change.offset(),
                    });
                }
                None => stretch.end = Timestamp::MAX,
            }
            Some(stretch)
        })
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZoneDatabase::bundled()
            .get(name)
            .map_err(|_| UnknownZone)?;
        if zone.is_unknown() {
            return Err(UnknownZone);
        }
        Ok(Self(zone))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// A time between two changes of a zone's clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// The first instant of it, or where one began to look.
    pub begin: Timestamp,
    /// The first instant behind it.
    pub end: Timestamp,
    /// What clocks were ahead of UTC before it.
    pub before: Offset,
    /// What they are ahead in it.
    pub offset: Offset,
}
