//! Who is next, case by case; days of a whole world are in `world`.

use std::ops::{Deref, DerefMut};

use super::booking::MAX_PUT_OFF;
use super::*;

pub(super) const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);
const QUICK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_hours(73);

/// A queue, and who is who in it.
struct Desk {
    queue: Queue,
    urls: HashMap<DeliveryId, String>,
}

impl Deref for Desk {
    type Target = Queue;
    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl DerefMut for Desk {
    fn deref_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }
}

fn desk(in_all: usize, per_host: usize) -> Desk {
    desk_of(in_all, per_host, NOW)
}

/// The desk of a process that starts then.
fn desk_of(in_all: usize, per_host: usize, start: Timestamp) -> Desk {
    let limits = Limits {
        in_all,
        per_host,
        first_delay: Duration::ZERO,
        patience: PATIENCE,
    };
    Desk {
        queue: Queue::new(limits, start),
        urls: HashMap::new(),
    }
}

pub(super) fn due(url: &str, attempts: u32) -> DueDelivery {
    DueDelivery {
        id: DeliveryId::new(),
        url: url.to_owned(),
        created_at: NOW,
        began_at: NOW,
        attempts,
        tries: attempts,
    }
}

fn seen(answers: bool, took: Duration) -> Seen {
    Seen {
        answers: Some((answers, took)),
        address: None,
    }
}

fn in_secs(secs: u64) -> Timestamp {
    NOW.after(Duration::from_secs(secs))
}

fn put_off(offer: &Offer) -> Timestamp {
    let Offer::Later {
        until,
        behind: true,
    } = *offer
    else {
        panic!("{offer:?}");
    };
    until
}

impl Desk {
    fn offer(&mut self, url: &str, attempts: u32, now: Timestamp) -> Offer {
        let due = due(url, attempts);
        self.urls.insert(due.id, url.to_owned());
        self.queue.offer(&due, now)
    }

    /// Those that begin until no more may.
    fn begin_all(&mut self, now: Timestamp) -> Vec<(String, Ticket)> {
        std::iter::from_fn(|| self.queue.next(now))
            .map(|turn| (self.urls[&turn.id].clone(), turn.ticket))
            .collect()
    }

    fn urls(&mut self, now: Timestamp) -> Vec<String> {
        let begun = self.begin_all(now);
        begun.into_iter().map(|(url, _)| url).collect()
    }

    /// One attempt at a name, while nothing else may begin.
    fn attempt(&mut self, url: &str, seen: Seen, now: Timestamp) -> Option<Duration> {
        assert_eq!(self.offer(url, 1, now), Offer::Taken);
        let turn = self.queue.next(now).unwrap();
        assert_eq!(self.urls[&turn.id], url);
        self.queue
            .done(turn.ticket, seen, now)
            .map(|opened| opened.pause)
    }

    /// Names that have answered before.
    fn known(&mut self, names: &[&str]) {
        for name in names {
            self.attempt(&format!("http://{name}/"), seen(true, QUICK), NOW);
        }
    }
}

#[test]
fn slots_go_round_the_names_and_each_name_has_its_own_number() {
    let mut desk = desk(8, 2);
    desk.known(&["a", "b"]);
    for url in ["http://a/1", "http://a/2", "http://a/3", "http://b/1"] {
        assert_eq!(desk.offer(url, 0, NOW), Offer::Taken);
    }
    let begun = desk.begin_all(NOW);
    let order: Vec<_> = begun.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!(order, ["http://a/1", "http://b/1", "http://a/2"]);
    desk.done(begun[0].1, Seen::default(), NOW);
    assert_eq!(desk.urls(NOW), ["http://a/3"]);
    assert_eq!((desk.waiting, desk.unproven), (0, 0));
}

#[test]
fn first_attempts_go_before_retries_of_any_name_three_to_one() {
    let mut desk = desk(16, 8);
    desk.known(&["a", "b"]);
    for n in 0..5 {
        desk.offer(&format!("http://a/again{n}"), 1, NOW);
        desk.offer(&format!("http://b/first{n}"), 0, NOW);
    }
    let order = desk.urls(NOW);
    let is_first: Vec<bool> = order.iter().map(|url| url.contains("first")).collect();
    let expected = [
        true, true, true, false, true, true, false, false, false, false,
    ];
    assert_eq!(is_first, expected, "{order:?}");
}

#[test]
fn the_names_of_one_address_share_its_slots_once_it_is_known() {
    let mut desk = desk(8, 2);
    let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
    for name in ["a", "b"] {
        let seen = Seen {
            address: Some(address),
            ..seen(true, QUICK)
        };
        desk.attempt(&format!("http://{name}/"), seen, NOW);
    }
    for url in ["http://a/1", "http://B/1?q", "http://b/2"] {
        desk.offer(url, 0, NOW);
    }
    let begun = desk.begin_all(NOW);
    assert_eq!(begun.len(), 2);
    desk.done(begun[0].1, Seen::default(), NOW);
    assert_eq!(desk.begin_all(NOW).len(), 1);
}

#[test]
fn one_name_that_fails_leaves_the_others_of_its_address_alone() {
    let mut desk = desk(8, 2);
    let address = Some("192.0.2.1:443".parse().unwrap());
    for (url, answers) in [("https://good.a.com/", true), ("https://bad.b.com/", false)] {
        for _ in 0..5 {
            let seen = Seen {
                address,
                ..seen(answers, QUICK)
            };
            desk.attempt(url, seen, NOW);
        }
    }
    assert!(matches!(
        desk.offer("https://bad.b.com/", 0, NOW),
        Offer::Later { .. }
    ));
    assert_eq!(desk.offer("https://good.a.com/", 0, NOW), Offer::Taken);
}

#[test]
fn what_a_name_cannot_take_soon_is_sent_back_each_a_little_later() {
    let mut desk = desk(8, 4);
    desk.attempt("http://slow/", seen(true, Duration::from_secs(1)), NOW);
    for _ in 0..64 {
        assert_eq!(desk.offer("http://slow/", 0, NOW), Offer::Taken);
    }
    // 64 wait; at 1 s each on 4 slots the next is due 250 ms after 16 s.
    for millis in [16_250, 16_500] {
        let until = put_off(&desk.offer("http://slow/", 0, NOW));
        assert_eq!(until, NOW.after(Duration::from_millis(millis)));
    }
    assert_eq!(desk.offer("http://quick/", 0, NOW), Offer::Taken);
    // However many there are, none is put off for longer than five minutes, and not all to the same time.
    for _ in 0..2000 {
        desk.offer("http://slow/", 0, NOW);
    }
    let last: Vec<Timestamp> = (0..64)
        .map(|_| put_off(&desk.offer("http://slow/", 0, NOW)))
        .collect();
    let (first, last) = (last.iter().min().unwrap(), last.iter().max().unwrap());
    assert!(*first >= NOW.after(MAX_PUT_OFF / 2) && *last <= NOW.after(MAX_PUT_OFF));
    assert!(first.until(*last) > MAX_PUT_OFF / 4);
}

#[test]
fn an_attempt_that_hangs_puts_off_what_comes_behind_it() {
    let mut desk = desk(8, 4);
    desk.offer("http://hangs/", 0, NOW);
    assert_eq!(desk.begin_all(NOW).len(), 1);
    for _ in 0..8 {
        assert_eq!(desk.offer("http://hangs/", 0, NOW), Offer::Taken);
    }
    // Eight wait and one hangs, for twelve seconds by now: at 12 s each on the one slot of an unknown name.
    let until = put_off(&desk.offer("http://hangs/", 0, in_secs(12)));
    assert_eq!(until, in_secs(12 + 8 * 12 + 12));
}

#[test]
fn the_first_attempt_waits_for_the_schedules_first_entry_and_comes_behind_nobody() {
    let limits = Limits {
        in_all: 1,
        per_host: 1,
        first_delay: Duration::from_secs(30),
        patience: PATIENCE,
    };
    let mut queue = Queue::new(limits, NOW);
    let until = in_secs(30);
    let early = Offer::Later {
        until,
        behind: false,
    };
    assert_eq!(queue.offer(&due("http://a/", 0), NOW), early);
    assert_eq!(queue.offer(&due("http://a/", 0), until), Offer::Taken);
    assert_eq!(queue.offer(&due("http://a/", 1), NOW), Offer::Taken);
}

#[test]
fn names_that_are_unknown_have_one_slot_each_and_half_of_all() {
    let mut desk = desk(8, 4);
    for name in ["a", "b", "c", "d", "e"] {
        for _ in 0..3 {
            desk.offer(&format!("http://{name}/"), 0, NOW);
        }
    }
    let begun = desk.begin_all(NOW);
    let order: Vec<_> = begun.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!(order, ["http://a/", "http://b/", "http://c/", "http://d/"]);
    // The one that answers has all its slots, and the next unknown one has its turn.
    desk.done(begun[1].1, seen(true, QUICK), NOW);
    assert_eq!(desk.urls(NOW), ["http://e/", "http://b/", "http://b/"]);
}

#[test]
fn failing_names_share_a_quarter_of_all_slots_whatever_waits_for_them() {
    let mut desk = desk(8, 4);
    desk.known(&["good"]);
    for name in ["a", "b", "c"] {
        let opened = desk.attempt(&format!("http://{name}/"), seen(false, QUICK), NOW);
        assert_eq!(opened, None);
    }
    for name in ["a", "b", "c", "good"] {
        for _ in 0..4 {
            desk.offer(&format!("http://{name}/"), 0, NOW);
        }
    }
    let order = desk.urls(NOW);
    let good = order.iter().filter(|url| *url == "http://good/").count();
    assert_eq!((order.len(), good), (6, 4));
}

#[test]
fn the_names_of_one_domain_that_do_not_answer_have_as_many_slots_as_one_name() {
    let mut desk = desk(64, 4);
    let mut taken = 0;
    for n in 0..1000 {
        let offer = desk.offer(&format!("https://n{n}.x{n}.evil.example/"), 0, NOW);
        taken += usize::from(offer == Offer::Taken);
    }
    assert_eq!(taken, MAX_UNPROVEN_OF_FAMILY);
    desk.offer("https://hooks.new.example/", 0, NOW);
    let begun = desk.urls(NOW);
    assert_eq!(begun.len(), 4 + 1);
    assert_eq!(begun[4], "https://hooks.new.example/");
}

#[test]
fn attempts_that_become_slow_make_room_for_others_up_to_a_hard_bound() {
    let mut desk = desk(8, 4);
    let names: Vec<String> = (0..6).map(|n| format!("n{n}")).collect();
    desk.known(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        for _ in 0..4 {
            desk.offer(&format!("http://{name}/"), 0, NOW);
        }
    }
    assert_eq!(desk.begin_all(NOW).len(), 8);
    let slow = NOW.after(SLOW_AFTER);
    assert_eq!(desk.next_change(NOW), Some(slow));
    assert_eq!(desk.begin_all(slow).len(), 8);
    let slower = slow.after(SLOW_AFTER);
    assert!(desk.begin_all(slower).is_empty());
    assert_eq!(desk.running.len(), desk.limits.hard());
}

#[test]
fn a_name_whose_attempt_was_slow_and_failed_is_on_probation_although_it_answers() {
    let mut desk = desk(8, 4);
    desk.known(&["good", "sly"]);
    desk.attempt("http://sly/", seen(false, SLOW_AFTER), NOW);
    desk.attempt("http://sly/", seen(true, QUICK), NOW);
    let begun = |desk: &mut Desk, now| {
        for _ in 0..4 {
            desk.offer("http://sly/", 0, now);
        }
        desk.begin_all(now)
    };
    // A quarter of eight.
    let first = begun(&mut desk, NOW);
    assert_eq!(first.len(), 2);
    for (_, ticket) in first {
        desk.done(ticket, seen(true, QUICK), NOW);
    }
    assert_eq!(begun(&mut desk, in_secs(300)).len(), 4);
}

#[test]
fn a_name_that_fails_again_and_again_is_left_alone_for_a_while_and_nothing_is_lost() {
    let mut desk = desk(8, 4);
    let fail = seen(false, QUICK);
    for _ in 0..4 {
        assert_eq!(desk.attempt("http://down/", fail, NOW), None);
    }
    let opened = desk.attempt("http://down/", fail, NOW);
    assert_eq!(opened, Some(Duration::from_secs(5)));
    // What comes meanwhile is put off behind the pause.
    let later = put_off(&desk.offer("http://down/", 1, NOW));
    assert!(later >= in_secs(5), "{later}");

    // Then one attempt says whether it goes on, and the next pause is longer, up to a minute.
    let mut now = in_secs(5);
    for secs in [10, 20, 40, 60, 60] {
        for _ in 0..3 {
            assert_eq!(desk.offer("http://down/", 1, now), Offer::Taken);
        }
        let turn = desk.next(now).unwrap();
        assert_eq!(desk.next(now), None, "a second one");
        let pause = Duration::from_secs(secs);
        let opened = desk.done(turn.ticket, fail, now).unwrap();
        assert_eq!((&*opened.name, opened.pause), ("down", pause));
        assert_eq!(desk.next(now), None);
        assert_eq!(desk.next_change(now), Some(now.after(pause)));
        now = now.after(pause);
        // What had waited here is tried first.
        for _ in 0..2 {
            let turn = desk.next(now).unwrap();
            desk.done(turn.ticket, Seen::default(), now);
        }
    }

    // An answer closes the breaker.
    assert_eq!(desk.attempt("http://down/", seen(true, QUICK), now), None);
    for _ in 0..4 {
        desk.offer("http://down/", 1, now);
    }
    assert_eq!(desk.begin_all(now).len(), 4);
}

#[test]
fn a_delivery_whose_schedule_is_over_is_not_put_off_for_ever() {
    let mut desk = desk(8, 4);
    for _ in 0..5 {
        desk.attempt("http://down/", seen(false, QUICK), in_secs(1));
    }
    let due = due("http://down/", 3);
    let last = NOW.after(PATIENCE).before(Duration::from_secs(1));
    desk.attempt("http://down/", seen(false, QUICK), last);
    put_off(&desk.queue.offer(&due, last));
    let over = last.after(Duration::from_secs(1));
    assert_eq!(desk.queue.offer(&due, over), Offer::Over);
    // One that begins its schedule anew has all of its time.
    let anew = DueDelivery {
        began_at: over,
        ..due
    };
    put_off(&desk.queue.offer(&anew, over));
    // Nor is one given up that waits because there is much to do at a name that answers.
    desk.known(&["good"]);
    while desk.offer("http://good/", 0, over) == Offer::Taken {}
    put_off(&desk.offer("http://good/", 0, over));
}

#[test]
fn nothing_is_given_up_that_waits_for_a_name_which_may_well_answer() {
    let over = NOW.after(PATIENCE);
    let (fail, answer) = (seen(false, QUICK), seen(true, QUICK));
    let url = "http://a/";
    // Nothing is known of it; or it has failed, and not often enough to be left alone.
    for failures in 0..5 {
        let mut desk = desk(8, 4);
        for _ in 0..failures {
            desk.attempt(url, fail, over);
        }
        while desk.offer(url, 0, over) == Offer::Taken {}
        put_off(&desk.offer(url, 0, over));
    }
    // It is left alone, and has answered within the last hour.
    let mut desk = desk(8, 4);
    desk.attempt(url, answer, over);
    for _ in 0..5 {
        desk.attempt(url, fail, over);
    }
    put_off(&desk.offer(url, 0, over));
    let hour = over.after(Duration::from_hours(1));
    desk.attempt(url, fail, hour);
    assert_eq!(desk.offer(url, 0, hour), Offer::Over);
}

#[test]
fn a_process_that_has_only_just_begun_gives_nothing_up() {
    let start = NOW.after(PATIENCE * 2);
    let mut desk = desk_of(8, 4, start);
    for _ in 0..5 {
        desk.attempt("http://down/", seen(false, QUICK), start);
    }
    put_off(&desk.offer("http://down/", 0, start));
    let later = start.after(GRACE_AFTER_START);
    desk.attempt("http://down/", seen(false, QUICK), later);
    assert_eq!(desk.offer("http://down/", 0, later), Offer::Over);
}

#[test]
fn what_is_for_fresh_names_of_a_domain_that_answers_nowhere_is_given_up_when_there_is_too_much() {
    let over = NOW.after(PATIENCE);
    let mut desk = desk(64, 4);
    let mut names = 0..;
    let mut fill = |desk: &mut Desk| {
        let mut offers = names.by_ref().map(|n: u32| {
            let url = format!("http://n{n}.evil.example/");
            desk.offer(&url, 0, over)
        });
        offers.find(|offer| *offer != Offer::Taken).unwrap()
    };
    put_off(&fill(&mut desk));
    for _ in 0..2 {
        for (_, ticket) in desk.begin_all(over) {
            desk.done(ticket, seen(false, QUICK), over);
        }
    }
    assert_eq!(fill(&mut desk), Offer::Over);
    // One that answers speaks for the others.
    let (_, ticket) = desk.begin_all(over).remove(0);
    desk.done(ticket, seen(true, QUICK), over);
    put_off(&fill(&mut desk));
}

#[test]
fn attempts_that_were_under_way_when_the_breaker_opened_do_not_lengthen_the_pause() {
    let mut desk = desk(64, 16);
    desk.known(&["down"]);
    for _ in 0..12 {
        desk.offer("http://down/", 0, NOW);
    }
    let begun = desk.begin_all(NOW);
    assert_eq!(begun.len(), 12);
    let pauses: Vec<Duration> = begun
        .into_iter()
        .filter_map(|(_, ticket)| desk.done(ticket, seen(false, QUICK), NOW))
        .map(|opened| opened.pause)
        .collect();
    assert_eq!(pauses, [Duration::from_secs(5)]);
}

#[test]
fn names_that_are_idle_are_forgotten_when_there_are_many_those_that_answer_last() {
    let mut desk = desk(8, 1);
    desk.known(&["good"]);
    desk.offer("http://waits/", 0, NOW);
    desk.begin_all(NOW);
    for n in 0..2 * MAX_NAMES {
        let url = format!("http://{n}.example.com/");
        desk.attempt(&url, Seen::default(), in_secs(1));
    }
    assert!(desk.lanes.len() <= MAX_NAMES);
    assert!(desk.lanes.contains_key("good") && desk.lanes.contains_key("waits"));
}

#[test]
fn a_delivery_that_is_due_again_before_its_last_attempt_has_given_its_slot_back_holds_none_for_ever()
 {
    let mut desk = desk(8, 2);
    desk.known(&["a"]);
    let due = due("http://a/", 1);
    let mut tickets = Vec::new();
    for _ in 0..2 {
        assert_eq!(desk.queue.offer(&due, NOW), Offer::Taken);
        tickets.push(desk.queue.next(NOW).unwrap().ticket);
    }
    for ticket in tickets {
        desk.done(ticket, seen(true, QUICK), NOW);
    }
    assert!(desk.running.is_empty() && desk.lanes["a"].is_idle());
}
