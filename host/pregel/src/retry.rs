//! Which failures are tried again, and when. Waiting is the runtime's.

use std::time::Duration;

use selvedge_model::graph::RetryPolicy;

use crate::program::Failure;

/// Kinds that are no failures but the algorithm's own way out of a task.
const NEVER: [&str; 3] = ["ParentCommand", "GraphInterrupt", "NodeInterrupt"];

/// The first policy that is for this failure.
#[must_use]
pub fn matching<'p>(policies: &'p [RetryPolicy], failure: &Failure) -> Option<&'p RetryPolicy> {
    if NEVER.contains(&failure.kind.as_str()) {
        return None;
    }
    policies.iter().find(|policy| match &policy.retry_on {
        None => failure.retryable,
        Some(kinds) => kinds.contains(&failure.kind),
    })
}

/// How long to wait after the failure of attempt number `failed` (1 for the first) before the next, or `None` when
/// there is none. `chance` as in [`delay_before`].
#[must_use]
pub fn pause(
    policies: &[RetryPolicy],
    failure: &Failure,
    failed: u32,
    chance: f64,
) -> Option<Duration> {
    delay_before(
        matching(policies, failure)?,
        failed.saturating_add(1),
        chance,
    )
}

/// How long to wait before attempt number `attempt` (2 for the first retry), or `None` when the policy allows no such
/// attempt. `chance` is a number from 0 to 1, drawn by the caller: the jitter in seconds.
#[must_use]
pub fn delay_before(policy: &RetryPolicy, attempt: u32, chance: f64) -> Option<Duration> {
    if attempt < 2 || attempt > policy.max_attempts {
        return None;
    }
    let exponent = i32::try_from(attempt - 2).unwrap_or(i32::MAX);
    let interval =
        (policy.initial_interval * policy.backoff_factor.powi(exponent)).min(policy.max_interval);
    let jitter = if policy.jitter {
        chance.clamp(0.0, 1.0)
    } else {
        0.0
    };
    Some(Duration::try_from_secs_f64((interval + jitter).max(0.0)).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: &str, retryable: bool) -> Failure {
        Failure {
            kind: kind.to_owned(),
            message: String::new(),
            retryable,
        }
    }

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        let policy = RetryPolicy {
            jitter: false,
            max_attempts: 20,
            ..RetryPolicy::default()
        };
        let wait = |attempt| delay_before(&policy, attempt, 0.9);
        assert_eq!(wait(1), None);
        assert_eq!(wait(2), Some(Duration::from_millis(500)));
        assert_eq!(wait(3), Some(Duration::from_secs(1)));
        assert_eq!(wait(20), Some(Duration::from_secs(128)));
        assert_eq!(wait(21), None);
    }

    #[test]
    fn jitter_adds_up_to_a_second() {
        let wait = delay_before(&RetryPolicy::default(), 2, 0.25);
        assert_eq!(wait, Some(Duration::from_millis(750)));
    }

    #[test]
    fn the_first_policy_that_matches_counts() {
        let named = RetryPolicy {
            retry_on: Some(vec!["Timeout".to_owned()]),
            ..RetryPolicy::default()
        };
        let policies = [named.clone(), RetryPolicy::default()];
        assert_eq!(
            matching(&policies, &failure("Timeout", false)),
            Some(&named)
        );
        assert_eq!(
            matching(&policies, &failure("Other", true)),
            Some(&policies[1])
        );
        assert_eq!(matching(&policies, &failure("Other", false)), None);
        assert_eq!(matching(&policies, &failure("ParentCommand", true)), None);
        assert_eq!(
            pause(&policies, &failure("Timeout", false), 1, 0.0),
            Some(Duration::from_millis(500))
        );
        assert_eq!(pause(&policies, &failure("Timeout", false), 3, 0.0), None);
    }
}
