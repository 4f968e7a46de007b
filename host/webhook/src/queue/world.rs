//! The queue among receivers of every kind, over days of simulated time: what a worker does with it, storage, receivers
//! and all, in one loop.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use proptest::prelude::*;

use super::booking::MAX_PUT_OFF;
use super::tests::{NOW, due};
use super::*;

/// A failed attempt that nothing ends sooner takes so long.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Attempts of the schedule are so far apart, five of them.
const RETRIES: [u64; 5] = [0, 5, 60, 600, 1200];
const LEEWAY: Duration = Duration::from_mins(30);
const LIMITS: Limits = Limits {
    in_all: 64,
    per_host: 4,
    first_delay: Duration::ZERO,
    patience: Duration::from_secs(1865 + LEEWAY.as_secs()),
};
/// What a worker claims at once.
const BATCH: usize = 256;

/// How a receiver behaves.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Good,
    /// Nobody listens.
    Dead,
    /// Takes the request and says nothing.
    Hangs,
    /// Answers so many requests first, and one again after each that it did not answer.
    Sly(u32),
    /// Another name each time, all of one machine that hangs.
    Wildcard,
}

/// Receivers of one kind, and how many deliveries come to each at which intervals.
#[derive(Clone, Debug)]
struct Crowd {
    kind: Kind,
    receivers: usize,
    deliveries: usize,
    every: Duration,
    /// When the first comes.
    from: Duration,
}

/// What becomes of one delivery.
struct Fate {
    due: DueDelivery,
    kind: Kind,
    receiver: usize,
    behind: bool,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
}

/// When an attempt ends, which it is, of which delivery, and what it will have shown.
type Exchange = (Timestamp, u64, usize, bool, Duration);

#[derive(Default)]
struct World {
    fates: Vec<Fate>,
    by_id: HashMap<DeliveryId, usize>,
    /// What storage holds, by rank and due time.
    stored: BTreeMap<(bool, Timestamp, usize), ()>,
    /// Attempts under way, by their end.
    under_way: BinaryHeap<Reverse<Exchange>>,
    asked: HashMap<usize, u32>,
    pending: usize,
    most_running: usize,
    most_waiting: usize,
    rows: usize,
    steps: usize,
}

impl World {
    fn new(crowds: &[Crowd]) -> Self {
        let mut world = Self::default();
        for (crowd, of) in crowds.iter().enumerate() {
            for receiver in 0..of.receivers {
                for n in 0..of.deliveries {
                    let name = match of.kind {
                        Kind::Wildcard => format!("n{n}.evil{crowd}-{receiver}.example"),
                        _ => format!("hooks.r{crowd}-{receiver}.example"),
                    };
                    let at = NOW.after(of.from + of.every.mul_f64(n as f64));
                    let due = DueDelivery {
                        created_at: at,
                        began_at: at,
                        ..due(&format!("https://{name}/"), 0)
                    };
                    world.stored.insert((false, at, world.fates.len()), ());
                    world.by_id.insert(due.id, world.fates.len());
                    world.fates.push(Fate {
                        due,
                        kind: of.kind,
                        receiver: crowd * 10_000 + receiver,
                        behind: false,
                        began: None,
                        ended: None,
                    });
                }
            }
        }
        world.pending = world.fates.len();
        world
    }

    /// Goes on until every delivery has ended.
    fn run(&mut self) {
        let mut queue = Queue::new(LIMITS, NOW);
        let mut now = NOW;
        while self.pending > 0 {
            self.steps += 1;
            assert!(self.steps < 2_000_000, "it does not end");
            self.claim(&mut queue, now);
            while let Some(turn) = queue.next(now) {
                self.begin(&turn, now);
            }
            self.most_running = self.most_running.max(queue.running.len());
            self.most_waiting = self.most_waiting.max(queue.waiting);
            let due = self.stored.keys().map(|(_, at, _)| *at);
            let first = self
                .stored
                .range((true, Timestamp::from_micros(i64::MIN), 0)..);
            let first = first.map(|((_, at, _), ())| *at).next();
            let next = due.take(1).chain(first).min();
            let ends = self.under_way.peek().map(|Reverse((at, ..))| *at);
            let times = next.into_iter().chain(ends).chain(queue.next_change(now));
            let Some(then) = times.min() else {
                break;
            };
            now = now.max(then);
            while let Some(Reverse((at, ticket, fate, answers, took))) =
                self.under_way.peek().copied()
                && at <= now
            {
                self.under_way.pop();
                self.done(&mut queue, (Ticket(ticket), fate), (answers, took), now);
            }
        }
    }

    fn claim(&mut self, queue: &mut Queue, now: Timestamp) {
        loop {
            let mut claimed = Vec::new();
            for (behind, up_to) in [(false, BATCH * 3 / 4), (true, BATCH), (false, BATCH)] {
                let range =
                    (behind, Timestamp::from_micros(i64::MIN), 0)..=(behind, now, usize::MAX);
                let room = up_to - claimed.len();
                let keys: Vec<_> = self
                    .stored
                    .range(range)
                    .take(room)
                    .map(|(key, ())| *key)
                    .collect();
                for key in keys {
                    self.stored.remove(&key);
                    claimed.push(key.2);
                }
            }
            self.rows += claimed.len();
            for index in &claimed {
                let fate = &mut self.fates[*index];
                match queue.offer(&fate.due, now) {
                    Offer::Taken => {}
                    Offer::Later { until, behind } => {
                        assert!(until > now && now.until(until) <= MAX_PUT_OFF);
                        fate.behind |= behind;
                        self.stored.insert((fate.behind, until, *index), ());
                    }
                    Offer::Over => {
                        fate.ended = Some(now);
                        self.pending -= 1;
                    }
                }
            }
            if claimed.len() < BATCH {
                return;
            }
        }
    }

    fn begin(&mut self, turn: &Turn, now: Timestamp) {
        let index = self.by_id[&turn.id];
        let fate = &mut self.fates[index];
        fate.began.get_or_insert(now);
        let asked = self.asked.entry(fate.receiver).or_default();
        *asked += 1;
        let (answers, took) = match fate.kind {
            Kind::Good => (true, Duration::from_millis(20)),
            Kind::Dead => (false, Duration::from_millis(1)),
            Kind::Hangs | Kind::Wildcard => (false, TIMEOUT),
            Kind::Sly(first) if *asked <= first || asked.is_multiple_of(5) => {
                (true, Duration::from_millis(20))
            }
            Kind::Sly(_) => (false, TIMEOUT),
        };
        self.under_way.push(Reverse((
            now.after(took),
            turn.ticket.0,
            index,
            answers,
            took,
        )));
    }

    fn done(
        &mut self,
        queue: &mut Queue,
        (ticket, index): (Ticket, usize),
        (answers, took): (bool, Duration),
        now: Timestamp,
    ) {
        let seen = Seen {
            answers: Some((answers, took)),
            address: None,
        };
        queue.done(ticket, seen, now);
        for back in queue.take_back() {
            let index = self.by_id[&back.id];
            self.fates[index].behind = true;
            self.stored.insert((true, back.until, index), ());
        }
        let fate = &mut self.fates[index];
        fate.due.attempts += 1;
        fate.due.tries += 1;
        match RETRIES.get(fate.due.tries as usize) {
            Some(secs) if !answers => {
                fate.behind = true;
                let at = now.after(Duration::from_secs(*secs));
                self.stored.insert((true, at, index), ());
            }
            _ => {
                fate.ended = Some(now);
                self.pending -= 1;
            }
        }
    }

    /// How long the good ones waited for their first attempt, at the longest.
    fn longest_wait(&self) -> Duration {
        let good = self.fates.iter().filter(|f| matches!(f.kind, Kind::Good));
        let waits = good.filter_map(|f| Some(f.due.created_at.until(f.began?)));
        waits.max().unwrap_or_default()
    }

    fn longest_life(&self) -> Duration {
        let lives = self.fates.iter();
        let lives = lives.filter_map(|f| Some(f.due.created_at.until(f.ended?)));
        lives.max().unwrap_or_default()
    }
}

fn bad() -> impl Strategy<Value = Crowd> {
    let kind = prop_oneof![
        Just(Kind::Dead),
        Just(Kind::Hangs),
        (1..20_u32).prop_map(Kind::Sly),
        Just(Kind::Wildcard),
    ];
    (kind, 1..10_usize, 1..50_usize, 0..10_000_u64).prop_map(
        |(kind, receivers, deliveries, millis)| Crowd {
            kind,
            receivers,
            deliveries,
            every: Duration::from_millis(millis),
            // The good ones have answered by then.
            from: Duration::from_secs(1),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8,
        max_shrink_iters: 32,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_bad_receivers_do_good_ones_wait_little_and_every_delivery_ends(
        bad in prop::collection::vec(bad(), 1..4),
    ) {
        let good = Crowd {
            kind: Kind::Good,
            receivers: 10,
            deliveries: 60,
            every: Duration::from_secs(7),
            from: Duration::ZERO,
        };
        let crowds: Vec<Crowd> = bad.into_iter().chain([good]).collect();
        let mut world = World::new(&crowds);
        world.run();
        // (a) A slot is free once those that hang turn out to: these are fewer than can fill the hard bound.
        prop_assert!(world.longest_wait() <= SLOW_AFTER, "{:?}", world.longest_wait());
        // (b) The schedule, its patience, the last put-off, and a turn in a short lane where one attempt a minute is made.
        let bound = LIMITS.patience + MAX_PUT_OFF + Duration::from_mins(60);
        prop_assert!(world.longest_life() <= bound, "{:?}", world.longest_life());
        // (c)
        prop_assert!(world.most_running <= LIMITS.hard());
        prop_assert!(world.most_waiting <= MAX_WAITING);
        // (d) Whoever is sent back comes again every few minutes, not all the time.
        let rows = world.fates.len() * (RETRIES.len() + bound.as_secs() as usize / 75);
        prop_assert!(world.rows <= rows, "{} rows, {} deliveries", world.rows, world.fates.len());
    }
}

#[test]
fn a_thousand_fresh_names_of_one_silent_machine_delay_a_new_receiver_by_nothing() {
    let crowds = [
        Crowd {
            kind: Kind::Wildcard,
            receivers: 1,
            deliveries: 10_000,
            every: Duration::ZERO,
            from: Duration::ZERO,
        },
        Crowd {
            kind: Kind::Good,
            receivers: 3,
            deliveries: 3,
            every: Duration::from_secs(1),
            from: Duration::ZERO,
        },
    ];
    let mut world = World::new(&crowds);
    world.run();
    assert_eq!(world.longest_wait(), Duration::ZERO);
}

#[test]
fn a_few_receivers_with_a_large_backlog_that_stop_answering_leave_room_for_the_others() {
    let sly = Crowd {
        kind: Kind::Sly(20),
        receivers: 4,
        deliveries: 2_000,
        every: Duration::ZERO,
        from: Duration::ZERO,
    };
    let good = Crowd {
        kind: Kind::Good,
        receivers: 10,
        deliveries: 60,
        every: Duration::from_millis(500),
        from: Duration::ZERO,
    };
    let mut world = World::new(&[sly, good]);
    world.run();
    assert!(world.longest_wait() <= SLOW_AFTER);
}

#[test]
fn a_dead_receiver_that_something_comes_for_all_the_time_keeps_nothing_pending() {
    let crowds = [Crowd {
        kind: Kind::Dead,
        receivers: 1,
        deliveries: 2_000,
        every: Duration::from_secs(30),
        from: Duration::ZERO,
    }];
    let mut world = World::new(&crowds);
    world.run();
    let bound = LIMITS.patience + MAX_PUT_OFF + Duration::from_mins(60);
    assert!(world.longest_life() <= bound, "{:?}", world.longest_life());
}
