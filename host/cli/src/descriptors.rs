//! How many files the process may have open at once, connections among them: as many as the system lets it, and some of
//! them are kept for what is not a connection of a caller's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// For the database, compiled components, files that are read now and then, look-ups of names, and whatever the process
/// was started with.
const OWN_FILES: u64 = 128;

/// Raises the soft limit to the hard one and says what it is now; `None`: there is none.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems name a hard limit that they do not grant.
        Err(_) => limit.current,
    }
}

/// How many connections there may be where so many files may be open, and what the operator is to know if that is less
/// than configured.
pub fn connections(config: &Config, limit: Option<u64>) -> (usize, Option<String>) {
    let wanted = config.http.max_connections;
    let Some(limit) = limit else {
        return (wanted, None);
    };
    let room = room(limit, reserve(config));
    if wanted <= room {
        return (wanted, None);
    }
    let warning = format!(
        "the system lets this process open {limit} files, so that it takes {room} connections and not {wanted} \
         (http.max_connections): raise the limit (`ulimit -Hn`, LimitNOFILE), or ask for fewer"
    );
    (room, Some(warning))
}

/// What graphs, webhooks and the process itself may need.
fn reserve(config: &Config) -> u64 {
    // Attempts at receivers that have become slow come on top, up to as many again.
    let outbound = config
        .egress
        .client
        .max_concurrent
        .saturating_add(config.webhooks.max_concurrent.saturating_mul(2));
    OWN_FILES.saturating_add(u64::try_from(outbound).unwrap_or(u64::MAX))
}

/// At least half, since a server that nobody can call is of no use.
fn room(limit: u64, reserve: u64) -> usize {
    let room = limit.saturating_sub(reserve).max(limit / 2).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_is_kept_for_them_up_to_a_half() {
        assert_eq!(room(65_536, 512), 65_024);
        assert_eq!(room(1_024, 512), 512);
        assert_eq!(room(256, 512), 128);
        assert_eq!(room(1, u64::MAX), 1);
    }
}
