use selvedge_model::delivery::NewDelivery;
use selvedge_model::{DeliveryId, RunId, ThreadId};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);
const QUICK: Duration = Duration::from_millis(1);

fn queue(in_all: usize, per_host: usize) -> Queue {
    Queue::new(Limits {
        in_all,
        per_host,
        first_delay: Duration::ZERO,
    })
}

fn due(url: &str, attempts: u32) -> DueDelivery {
    let delivery = NewDelivery {
        id: DeliveryId::new(),
        run_id: RunId::new(),
        thread_id: ThreadId::new(),
        url: url.to_owned(),
        body: vec![0; 100],
        sent_at_offset: None,
        created_at: NOW,
    };
    DueDelivery {
        delivery,
        attempts,
        tries: attempts,
    }
}

fn named(name: &str) -> Host {
    Host::Named(name.to_owned())
}

fn seen(answers: bool, took: Duration) -> Seen<'static> {
    Seen {
        answers: Some((answers, took)),
        reached: None,
    }
}

/// Hosts that have answered before.
fn known(queue: &mut Queue, names: &[&str]) {
    for name in names {
        queue.done(&named(name), NOW, seen(true, QUICK), NOW);
    }
}

/// One attempt at a host, which fails.
fn fails(queue: &mut Queue, name: &str, now: Timestamp) -> Option<Duration> {
    queue.offer(&due(&format!("http://{name}/"), 1), now);
    let (host, _) = queue.next(now).unwrap();
    queue.done(&host, now, seen(false, QUICK), now)
}

fn in_secs(secs: u64) -> Timestamp {
    NOW.after(Duration::from_secs(secs))
}

fn next_url(queue: &mut Queue) -> Option<String> {
    queue.next(NOW).map(|(_, due)| due.delivery.url)
}

#[test]
fn slots_go_round_the_hosts_and_each_host_has_its_own_number() {
    let mut queue = queue(8, 2);
    known(&mut queue, &["a", "b"]);
    for url in ["http://a/1", "http://a/2", "http://a/3", "http://b/1"] {
        assert_eq!(queue.offer(&due(url, 0), NOW), Offer::Taken);
    }
    let order: Vec<_> = std::iter::from_fn(|| next_url(&mut queue)).collect();
    assert_eq!(order, ["http://a/1", "http://b/1", "http://a/2"]);
    queue.done(&named("a"), NOW, Seen::default(), NOW);
    assert_eq!(next_url(&mut queue).unwrap(), "http://a/3");
    assert_eq!(queue.room(), MAX_WAITING);
    assert_eq!(queue.bytes, 0);
}

#[test]
fn first_attempts_go_before_retries_of_any_host() {
    let mut queue = queue(8, 4);
    known(&mut queue, &["a", "b"]);
    for (url, attempts) in [
        ("http://a/again", 1),
        ("http://b/again", 3),
        ("http://b/first", 0),
    ] {
        queue.offer(&due(url, attempts), NOW);
    }
    let order: Vec<_> = std::iter::from_fn(|| next_url(&mut queue)).collect();
    assert_eq!(
        order,
        ["http://b/first", "http://a/again", "http://b/again"]
    );
}

#[test]
fn two_names_of_one_address_are_one_host_once_it_is_known() {
    let mut queue = queue(8, 1);
    let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
    for name in ["a", "b"] {
        let url = format!("http://{name}/x");
        let seen = Seen {
            reached: Some((&url, address)),
            ..seen(true, QUICK)
        };
        queue.done(&named(name), NOW, seen, NOW);
    }
    queue.offer(&due("http://a/1", 0), NOW);
    queue.offer(&due("http://B/1?q", 0), NOW);
    assert_eq!(queue.next(NOW).unwrap().0, Host::At(address));
    assert!(queue.next(NOW).is_none());
}

#[test]
fn what_a_host_cannot_take_soon_is_sent_back_each_a_little_later() {
    let mut queue = queue(8, 4);
    known(&mut queue, &["slow"]);
    for _ in 0..64 {
        assert_eq!(queue.offer(&due("http://slow/", 0), NOW), Offer::Taken);
    }
    let (slow, _) = queue.next(NOW).unwrap();
    queue.offer(&due("http://slow/", 0), NOW);
    queue.done(&slow, NOW, seen(true, Duration::from_secs(16)), NOW);
    // 64 wait; at 16 s each on 4 slots the next is due 4 s after 256 s.
    for secs in [260, 264] {
        let offer = queue.offer(&due("http://slow/", 0), NOW);
        assert_eq!(offer, Offer::Later(in_secs(secs)));
    }
    assert_eq!(queue.offer(&due("http://quick/", 0), NOW), Offer::Taken);
    // However many there are, none is put off for longer than five minutes.
    for _ in 0..100 {
        queue.offer(&due("http://slow/", 0), NOW);
    }
    let last = queue.offer(&due("http://slow/", 0), NOW);
    assert_eq!(last, Offer::Later(in_secs(300)));
}

#[test]
fn an_attempt_that_hangs_puts_off_what_comes_behind_it() {
    let mut queue = queue(8, 4);
    for _ in 0..9 {
        queue.offer(&due("http://hangs/", 0), NOW);
        queue.next(NOW);
    }
    // Eight wait and one hangs, for twelve seconds by now: at 12 s each on 4 slots.
    let offer = queue.offer(&due("http://hangs/", 0), in_secs(12));
    assert_eq!(offer, Offer::Later(in_secs(12 + 8 * 3 + 3)));
}

#[test]
fn a_large_body_fits_alone_and_others_wait_behind_it() {
    let mut queue = queue(8, 1);
    let mut large = due("http://a/", 0);
    large.delivery.body = vec![0; (8 << 20) + 1];
    assert_eq!(queue.offer(&large, NOW), Offer::Taken);
    assert!(matches!(
        queue.offer(&due("http://a/", 0), NOW),
        Offer::Later(_)
    ));
}

#[test]
fn the_first_attempt_waits_for_the_schedules_first_entry() {
    let mut queue = Queue::new(Limits {
        in_all: 1,
        per_host: 1,
        first_delay: Duration::from_secs(30),
    });
    let start = in_secs(30);
    assert_eq!(queue.offer(&due("http://a/", 0), NOW), Offer::Later(start));
    assert_eq!(queue.offer(&due("http://a/", 0), start), Offer::Taken);
    assert_eq!(queue.offer(&due("http://a/", 1), NOW), Offer::Taken);
}

#[test]
fn hosts_that_are_unknown_have_one_slot_each_and_half_of_all() {
    let mut queue = queue(8, 4);
    for name in ["a", "b", "c", "d", "e"] {
        for _ in 0..3 {
            queue.offer(&due(&format!("http://{name}/"), 0), NOW);
        }
    }
    let order: Vec<_> = std::iter::from_fn(|| next_url(&mut queue)).collect();
    assert_eq!(order, ["http://a/", "http://b/", "http://c/", "http://d/"]);
    // The one that answers has all its slots, and the next unknown one has its turn.
    queue.done(&named("b"), NOW, seen(true, QUICK), NOW);
    let order: Vec<_> = std::iter::from_fn(|| next_url(&mut queue)).collect();
    assert_eq!(order, ["http://e/", "http://b/", "http://b/"]);
}

#[test]
fn failing_hosts_share_a_quarter_of_all_slots_whatever_waits_for_them() {
    let mut queue = queue(8, 4);
    known(&mut queue, &["good"]);
    for name in ["a", "b", "c"] {
        assert_eq!(fails(&mut queue, name, NOW), None);
    }
    for name in ["a", "b", "c", "good"] {
        for _ in 0..4 {
            queue.offer(&due(&format!("http://{name}/"), 0), NOW);
        }
    }
    let order: Vec<_> = std::iter::from_fn(|| next_url(&mut queue)).collect();
    let good = order.iter().filter(|url| *url == "http://good/").count();
    assert_eq!((order.len(), good), (6, 4));
}

#[test]
fn a_host_that_fails_again_and_again_is_left_alone_for_a_while_and_nothing_is_lost() {
    let mut queue = queue(8, 4);
    for _ in 0..4 {
        assert_eq!(fails(&mut queue, "down", NOW), None);
    }
    assert_eq!(fails(&mut queue, "down", NOW), Some(Duration::from_secs(5)));
    // What comes meanwhile is put off behind the pause.
    let Offer::Later(later) = queue.offer(&due("http://down/", 1), NOW) else {
        panic!("it was taken");
    };
    assert!(later >= in_secs(5), "{later}");
    assert!(queue.next(in_secs(4)).is_none());

    // Then one attempt says whether it goes on, and the next pause is longer, up to a minute.
    let mut now = in_secs(5);
    for secs in [10, 20, 40, 60, 60] {
        for _ in 0..3 {
            assert_eq!(queue.offer(&due("http://down/", 1), now), Offer::Taken);
        }
        let (host, _) = queue.next(now).unwrap();
        assert!(queue.next(now).is_none(), "a second one");
        let pause = Duration::from_secs(secs);
        let opened = queue.done(&host, now, seen(false, QUICK), now);
        assert_eq!(opened, Some(pause));
        assert!(queue.next(now).is_none());
        assert_eq!(queue.next_pause_end(now), Some(now.after(pause)));
        now = now.after(pause);
        // What had waited here is tried first.
        for _ in 0..2 {
            let (host, _) = queue.next(now).unwrap();
            queue.done(&host, now, Seen::default(), now);
        }
    }

    // An answer closes the breaker.
    queue.offer(&due("http://down/", 1), now);
    let (host, _) = queue.next(now).unwrap();
    queue.done(&host, now, seen(true, QUICK), now);
    for _ in 0..4 {
        queue.offer(&due("http://down/", 1), now);
        assert!(queue.next(now).is_some());
    }
    assert_eq!(queue.next_pause_end(now), None);
}

#[test]
fn attempts_that_were_under_way_when_the_breaker_opened_do_not_lengthen_the_pause() {
    let mut queue = queue(64, 16);
    known(&mut queue, &["down"]);
    for _ in 0..12 {
        queue.offer(&due("http://down/", 0), NOW);
        queue.next(NOW).unwrap();
    }
    let opened: Vec<Option<Duration>> = (0..12)
        .map(|_| queue.done(&named("down"), NOW, seen(false, QUICK), NOW))
        .collect();
    let pauses: Vec<Duration> = opened.into_iter().flatten().collect();
    assert_eq!(pauses, [Duration::from_secs(5)]);
}

#[test]
fn hosts_that_are_idle_are_forgotten_when_there_are_many() {
    let mut queue = queue(8, 1);
    queue.offer(&due("http://waits/", 0), NOW);
    for n in 0..2 * MAX_HOSTS {
        known(&mut queue, &[&n.to_string()]);
    }
    assert!(queue.hosts.len() <= MAX_HOSTS);
    assert_eq!(next_url(&mut queue).unwrap(), "http://waits/");
}
