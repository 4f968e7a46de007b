//! Promises about crons: themselves, and the due times at which they make runs.

use std::sync::Arc;

use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::cron::{CatchUp, Cron, CronError, OnRunCompleted};
use selvedge_model::run::MultitaskStrategy;
use selvedge_model::{AssistantId, Caller, CronId, RunId, Scope, ThreadId};
use selvedge_storage::{
    Admission, CronFilter, CronInsert, CronQuery, CronReplace, CronRun, CronSort, CronTick,
    LastWords, Refusal, Storage, ThreadNeed, Ticked,
};

use crate::assistants::assistant;
use crate::given::{at, json, new_run, temporary, thread, unclaimed, with_strategy};
use crate::home::{Home, SqliteHome};

/// A storage that has the assistant of [`cron`].
pub async fn open(home: &dyn Home) -> Arc<dyn Storage> {
    let storage = home.open();
    let agents = vec![assistant("agent", "agent", "{}")];
    storage.ensure_assistants(agents).await.unwrap();
    storage
}

/// A cron that is due at a second.
pub fn cron(due: i64) -> Cron {
    Cron {
        cron_id: CronId::new(),
        assistant_id: AssistantId::default_of("agent"),
        thread_id: None,
        user_id: String::new(),
        end_time: Some(at(1_000)),
        schedule: "*/10 * * * * *".to_owned(),
        timezone: Some("Europe/Berlin".to_owned()),
        payload: json(r#"{"input":{"messages":[]}}"#),
        next_run_date: Some(at(due)),
        metadata: json(r#"{"owner":"test"}"#),
        on_run_completed: Some(OnRunCompleted::Keep),
        enabled: true,
        created_at: at(0),
        updated_at: at(0),
        catch_up: CatchUp::All,
        last_error: None,
    }
}

async fn created(storage: &Arc<dyn Storage>, cron: Cron) -> Cron {
    let created = storage
        .create_cron(&Caller::host(), cron.clone(), None)
        .await
        .unwrap();
    assert_eq!(created, CronInsert::Created);
    cron
}

/// The due time of a cron, with a run that needs no thread; ten seconds later is the next.
pub fn tick(cron: &Cron) -> CronTick {
    let due = cron.next_run_date.unwrap();
    let run = temporary(new_run(ThreadId::new(), due));
    CronTick {
        cron_id: cron.cron_id,
        seen_update: cron.updated_at,
        seen_due: due,
        next: Some(due.after(std::time::Duration::from_secs(10))),
        run: Some(CronRun {
            due,
            scope: Scope::Host,
            run: Box::new(run),
        }),
        error: None,
    }
}

pub fn run_of(ticked: &Ticked) -> Option<RunId> {
    match ticked {
        Ticked::Fired(Admission::Claimed(claimed, _)) => Some(claimed.run.run_id),
        Ticked::Fired(Admission::Queued(run, _)) => Some(run.run_id),
        _ => None,
    }
}

pub async fn fire(storage: &Arc<dyn Storage>, tick: CronTick) -> Ticked {
    let mut ticked = storage.fire_crons(vec![tick]).await.unwrap();
    ticked.pop().unwrap()
}

async fn stored(storage: &Arc<dyn Storage>, id: CronId) -> Cron {
    storage.cron(&Scope::Host, id).await.unwrap().unwrap()
}

pub async fn a_cron_is_read_back_as_it_was_created(home: &dyn Home) {
    let storage = open(home).await;
    let on = thread(&storage).await;
    let stateless = created(&storage, cron(10)).await;
    let on_thread = Cron {
        thread_id: Some(on),
        on_run_completed: None,
        timezone: None,
        end_time: None,
        next_run_date: None,
        enabled: false,
        ..cron(10)
    };
    created(&storage, on_thread.clone()).await;
    drop(storage);
    let storage = home.open();
    for cron in [stateless, on_thread] {
        assert_eq!(stored(&storage, cron.cron_id).await, cron);
    }
}

pub async fn a_cron_needs_its_assistant_and_its_thread_and_goes_with_them(home: &dyn Home) {
    let storage = open(home).await;
    let on = thread(&storage).await;
    let of_nobody = Cron {
        assistant_id: AssistantId::default_of("nobody"),
        ..cron(10)
    };
    let refused = storage
        .create_cron(&Caller::host(), of_nobody, None)
        .await
        .unwrap();
    assert_eq!(refused, CronInsert::NoAssistant);
    let on_nothing = Cron {
        thread_id: Some(ThreadId::new()),
        ..cron(10)
    };
    let refused = storage
        .create_cron(&Caller::host(), on_nothing, None)
        .await
        .unwrap();
    assert_eq!(refused, CronInsert::NoThread);

    let stateless = created(&storage, cron(10)).await;
    let on_thread = Cron {
        thread_id: Some(on),
        ..cron(10)
    };
    created(&storage, on_thread.clone()).await;
    storage.delete_thread(&Scope::Host, on).await.unwrap();
    assert_eq!(
        storage.cron(&Scope::Host, on_thread.cron_id).await.unwrap(),
        None
    );
    // The configuration may change an assistant; its crons stay.
    let changed = assistant("agent", "agent", r#"{"changed":true}"#);
    storage.ensure_assistants(vec![changed]).await.unwrap();
    assert_eq!(stored(&storage, stateless.cron_id).await, stateless);
    let request = CancelRequest {
        action: CancelAction::Interrupt,
        message: String::new(),
    };
    let gone = stateless.assistant_id;
    storage
        .delete_assistant(&Scope::Host, gone, request, LastWords::default(), at(1))
        .await
        .unwrap();
    assert_eq!(
        storage.cron(&Scope::Host, stateless.cron_id).await.unwrap(),
        None
    );
    assert!(matches!(
        fire(&storage, tick(&stateless)).await,
        Ticked::Stale
    ));
}

pub async fn crons_are_found_by_what_they_are_in_pages(home: &dyn Home) {
    let storage = open(home).await;
    let on = thread(&storage).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let nth = Cron {
            thread_id: (n == 1).then_some(on),
            enabled: n != 2,
            next_run_date: (n < 3).then_some(at(100 - n)),
            metadata: json(&format!(r#"{{"n":{n},"deep":{{"odd":{}}}}}"#, n % 2 == 1)),
            created_at: at(n),
            ..cron(0)
        };
        ids.push(created(&storage, nth).await.cron_id);
    }
    let (one, two) = (ids[1], ids[2]);
    assert_eq!(storage.count_enabled_crons().await.unwrap(), 3);
    let metadata = |text: &str| CronFilter {
        metadata: Some(json(text)),
        ..CronFilter::default()
    };
    let by_thread = CronFilter {
        thread_id: Some(on),
        ..CronFilter::default()
    };
    let by_assistant = CronFilter {
        assistant_id: Some(AssistantId::default_of("agent")),
        ..CronFilter::default()
    };
    let stopped = CronFilter {
        enabled: Some(false),
        ..CronFilter::default()
    };
    for (filter, expected) in [
        (CronFilter::default(), vec![ids[3], two, one, ids[0]]),
        (by_assistant, vec![ids[3], two, one, ids[0]]),
        (by_thread, vec![one]),
        (stopped, vec![two]),
        (metadata(r#"{"deep":{"odd":true}}"#), vec![ids[3], one]),
        (metadata(r#"{"n":9}"#), vec![]),
    ] {
        let count = storage
            .count_crons(&Scope::Host, filter.clone())
            .await
            .unwrap();
        assert_eq!(count, expected.len() as u64, "{filter:?}");
        let query = CronQuery {
            filter,
            sort_by: CronSort::CreatedAt,
            descending: true,
            limit: 10,
            offset: 0,
        };
        let page = storage.search_crons(&Scope::Host, query).await.unwrap();
        let found: Vec<CronId> = page.rows.iter().map(|cron| cron.cron_id).collect();
        assert_eq!((found, page.more), (expected, false));
    }
    // One that has no next date stands where PostgreSQL has it.
    for (descending, expected) in [
        (false, [two, one, ids[0], ids[3]]),
        (true, [ids[3], ids[0], one, two]),
    ] {
        let mut found = Vec::new();
        for offset in 0..4 {
            let query = CronQuery {
                filter: CronFilter::default(),
                sort_by: CronSort::NextRunDate,
                descending,
                limit: 1,
                offset,
            };
            let page = storage.search_crons(&Scope::Host, query).await.unwrap();
            assert_eq!(page.more, offset < 3);
            found.extend(page.rows.iter().map(|cron| cron.cron_id));
        }
        assert_eq!(found, expected);
    }
}

pub async fn a_change_is_made_on_the_cron_that_was_seen_or_not_at_all(home: &dyn Home) {
    let storage = open(home).await;
    let seen = created(&storage, cron(10)).await;
    let changed = Cron {
        schedule: "0 0 * * *".to_owned(),
        payload: json(r#"{"input":1}"#),
        updated_at: at(1),
        ..seen.clone()
    };
    let done = storage
        .replace_cron(&Scope::Host, seen.clone(), changed.clone())
        .await;
    assert_eq!(done.unwrap(), CronReplace::Done);
    assert_eq!(stored(&storage, seen.cron_id).await, changed);
    let late = storage
        .replace_cron(&Scope::Host, seen.clone(), seen.clone())
        .await;
    assert_eq!(late.unwrap(), CronReplace::Stale);

    assert!(run_of(&fire(&storage, tick(&changed)).await).is_some());
    let fired_meanwhile = storage
        .replace_cron(&Scope::Host, changed.clone(), changed.clone())
        .await;
    assert_eq!(fired_meanwhile.unwrap(), CronReplace::Stale);
    assert!(
        storage
            .delete_cron(&Scope::Host, seen.cron_id)
            .await
            .unwrap()
    );
    assert!(
        !storage
            .delete_cron(&Scope::Host, seen.cron_id)
            .await
            .unwrap()
    );
    let gone = storage
        .replace_cron(&Scope::Host, changed.clone(), changed)
        .await;
    assert_eq!(gone.unwrap(), CronReplace::Gone);
}

pub async fn a_due_time_and_its_run_become_true_together(home: &dyn Home) {
    let storage = open(home).await;
    let cron = created(&storage, cron(10)).await;
    for table in ["cron", "cron_tick", "run"] {
        home.break_table(table);
        let failed = storage.fire_crons(vec![tick(&cron)]).await;
        assert!(failed.is_err(), "{table}");
        home.mend();
        assert_eq!(stored(&storage, cron.cron_id).await, cron, "{table}");
        assert_eq!(storage.count_pending_runs().await.unwrap(), 0, "{table}");
        let due = tick(&cron).run.unwrap().run.run.run_id;
        assert_eq!(
            storage
                .run(&Scope::Host, None, due)
                .await
                .unwrap()
                .map(|_| ()),
            None
        );
    }
    let fired = fire(&storage, tick(&cron)).await;
    let run = run_of(&fired).unwrap();
    assert!(
        storage
            .run(&Scope::Host, None, run)
            .await
            .unwrap()
            .is_some()
    );
    let after = stored(&storage, cron.cron_id).await;
    assert_eq!(after.next_run_date, Some(at(20)));
    assert_eq!(after.updated_at, cron.updated_at);
}

pub async fn a_due_time_makes_one_run_whoever_asks_and_how_often(home: &dyn Home) {
    let storage = open(home).await;
    let cron = created(&storage, cron(10)).await;
    let asked = (0..20).map(|_| {
        let (storage, tick) = (storage.clone(), tick(&cron));
        tokio::spawn(async move { fire(&storage, tick).await })
    });
    let mut runs = 0;
    for ticked in asked.collect::<Vec<_>>() {
        match ticked.await.unwrap() {
            Ticked::Stale => {}
            fired => runs += usize::from(run_of(&fired).is_some()),
        }
    }
    assert_eq!(runs, 1);
    // Neither does the one who was there before a crash.
    drop(storage);
    let storage = home.open();
    assert!(matches!(fire(&storage, tick(&cron)).await, Ticked::Stale));
    // Nor where the clock was set back and the next date after it.
    let seen = stored(&storage, cron.cron_id).await;
    let set_back = Cron {
        next_run_date: Some(at(10)),
        updated_at: at(2),
        ..seen.clone()
    };
    let replaced = storage
        .replace_cron(&Scope::Host, seen, set_back.clone())
        .await
        .unwrap();
    assert_eq!(replaced, CronReplace::Done);
    assert!(matches!(
        fire(&storage, tick(&set_back)).await,
        Ticked::Passed
    ));
    let after = stored(&storage, cron.cron_id).await;
    assert_eq!(after.next_run_date, Some(at(20)));
}

pub async fn a_cron_that_was_changed_or_stopped_does_not_fire_as_it_was(home: &dyn Home) {
    let storage = open(home).await;
    for change in [
        |cron: Cron| Cron {
            enabled: false,
            ..cron
        },
        |cron: Cron| Cron {
            updated_at: at(1),
            ..cron
        },
        |cron: Cron| Cron {
            next_run_date: Some(at(11)),
            ..cron
        },
    ] {
        let seen = created(&storage, cron(10)).await;
        let changed = change(seen.clone());
        storage
            .replace_cron(&Scope::Host, seen.clone(), changed.clone())
            .await
            .unwrap();
        assert!(matches!(fire(&storage, tick(&seen)).await, Ticked::Stale));
        assert_eq!(stored(&storage, seen.cron_id).await, changed);
    }
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
}

pub async fn a_run_that_is_refused_leaves_its_cron_due_and_others_fire(home: &dyn Home) {
    let storage = open(home).await;
    let on = thread(&storage).await;
    let on_thread = Cron {
        thread_id: Some(on),
        ..cron(10)
    };
    let cron_on_thread = created(&storage, on_thread).await;
    let need = ThreadNeed::Existing {
        metadata: json("{}"),
        config: json("{}"),
    };
    let mut run = with_strategy(new_run(on, at(10)), MultitaskStrategy::Reject);
    run.thread = need;
    let mut refused = tick(&cron_on_thread);
    *refused.run.as_mut().unwrap().run = run.clone();
    storage
        .admit_run(&Scope::Host, new_run(on, at(0)))
        .await
        .unwrap();
    let mut crowded = tick(&cron(0));
    let other = created(&storage, cron(10)).await;
    crowded.cron_id = other.cron_id;
    crowded.seen_due = at(10);
    crowded.run.as_mut().unwrap().run.max_pending_runs = 0;
    let third = created(&storage, cron(10)).await;
    let ticks = vec![refused.clone(), crowded, tick(&third)];
    let ticked = storage.fire_crons(ticks).await.unwrap();
    assert!(matches!(ticked[0], Ticked::Refused(Refusal::Busy)));
    assert!(matches!(
        ticked[1],
        Ticked::Refused(Refusal::TooManyPending)
    ));
    assert!(run_of(&ticked[2]).is_some());
    for due in [&cron_on_thread, &other] {
        assert_eq!(&stored(&storage, due.cron_id).await, due);
    }
    // Whoever was refused says so, and the cron goes on.
    let error = CronError {
        time: at(11),
        error: "Busy".to_owned(),
        message: "busy".to_owned(),
    };
    let noted = CronTick {
        run: None,
        error: Some(error.clone()),
        ..refused
    };
    assert!(matches!(fire(&storage, noted).await, Ticked::Passed));
    let after = stored(&storage, cron_on_thread.cron_id).await;
    assert_eq!(after.next_run_date, Some(at(20)));
    assert_eq!(after.last_error.as_ref(), Some(&error));
    // The next run does not make the error forgotten: its time says that it is over.
    let mut next = tick(&after);
    *next.run.as_mut().unwrap().run = unclaimed(new_run(ThreadId::new(), at(20)));
    assert!(run_of(&fire(&storage, next).await).is_some());
    let after = stored(&storage, cron_on_thread.cron_id).await;
    assert_eq!(after.last_error, Some(error));
}

pub async fn a_cron_on_a_thread_that_is_too_slow_for_it_leaves_the_queue_to_others(
    home: &dyn Home,
) {
    const ENOUGH: usize = 1_000;
    let storage = open(home).await;
    let on = thread(&storage).await;
    let on_thread = Cron {
        thread_id: Some(on),
        ..cron(10)
    };
    let mut seen = created(&storage, on_thread).await;
    let mut ticks = Vec::new();
    for _ in 0..=ENOUGH {
        let mut next = tick(&seen);
        *next.run.as_mut().unwrap().run = unclaimed(new_run(on, at(10)));
        seen.next_run_date = next.next;
        ticks.push(next);
    }
    let ticked = storage.fire_crons(ticks).await.unwrap();
    let fired = ticked.iter().filter(|ticked| run_of(ticked).is_some());
    assert_eq!(fired.count(), ENOUGH);
    assert!(matches!(ticked[ENOUGH], Ticked::Refused(Refusal::Busy)));
}

pub async fn crons_that_are_due_come_in_order_a_few_at_a_time(home: &dyn Home) {
    let storage = open(home).await;
    let nothing = storage.due_crons(at(0)..=at(99), 10).await.unwrap();
    assert!(nothing.crons.is_empty() && nothing.next_due.is_none());
    let mut ids = Vec::new();
    for due in [30, 10, 20, 40] {
        ids.push(created(&storage, cron(due)).await.cron_id);
    }
    let stopped = Cron {
        enabled: false,
        ..cron(5)
    };
    created(&storage, stopped).await;
    let over = Cron {
        next_run_date: None,
        ..cron(5)
    };
    created(&storage, over).await;
    for (now, limit, expected, next_due) in [
        (9, 10, vec![], Some(at(10))),
        (10, 10, vec![ids[1]], Some(at(20))),
        (35, 10, vec![ids[1], ids[2], ids[0]], Some(at(40))),
        (35, 2, vec![ids[1], ids[2]], Some(at(30))),
        (40, 4, vec![ids[1], ids[2], ids[0], ids[3]], None),
    ] {
        let due = storage.due_crons(at(0)..=at(now), limit).await.unwrap();
        let found: Vec<CronId> = due.crons.iter().map(|due| due.cron.cron_id).collect();
        assert_eq!((found, due.next_due), (expected, next_due));
    }
    // What is due before is somebody else's to ask for.
    let due = storage.due_crons(at(20)..=at(30), 10).await.unwrap();
    let found: Vec<CronId> = due.crons.iter().map(|due| due.cron.cron_id).collect();
    assert_eq!((found, due.next_due), (vec![ids[2], ids[0]], Some(at(40))));
    // Large ones come one by one, and each does.
    let large = format!(r#"{{"input":"{}"}}"#, "x".repeat(9 << 20));
    for due in [1, 2] {
        let large = Cron {
            payload: json(&large),
            ..cron(due)
        };
        created(&storage, large).await;
    }
    let due = storage.due_crons(at(0)..=at(99), 10).await.unwrap();
    assert_eq!((due.crons.len(), due.next_due), (1, Some(at(2))));
}

pub async fn due_times_of_a_cron_are_remembered_as_long_as_it_matters(home: &dyn Home) {
    let storage = open(home).await;
    let mut cron = created(&storage, cron(10)).await;
    for _ in 0..200 {
        assert!(run_of(&fire(&storage, tick(&cron)).await).is_some());
        cron = stored(&storage, cron.cron_id).await;
    }
    // The last ones cannot come again.
    let set_back = Cron {
        next_run_date: Some(at(10 * 150)),
        updated_at: at(2),
        ..cron.clone()
    };
    storage
        .replace_cron(&Scope::Host, cron, set_back.clone())
        .await
        .unwrap();
    let mut again = tick(&set_back);
    assert!(matches!(
        fire(&storage, again.clone()).await,
        Ticked::Passed
    ));
    again.seen_due = again.next.unwrap();
    assert!(matches!(fire(&storage, again).await, Ticked::Passed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cron_that_cannot_be_read_stands_in_the_way_of_no_other() {
    let home = SqliteHome::new();
    let storage = open(&home).await;
    for due in [10, 20, 30] {
        created(&storage, cron(due)).await;
    }
    let broken = "UPDATE cron SET catch_up = 99 WHERE next_run_at < ?1";
    let rows = home.database().execute(broken, [at(25).as_micros()]);
    assert_eq!(rows.unwrap(), 2);
    let due = storage.due_crons(at(0)..=at(25), 1).await.unwrap();
    assert_eq!((due.crons.len(), due.next_due), (0, Some(at(30))));
    let due = storage.due_crons(at(0)..=at(30), 1).await.unwrap();
    assert_eq!((due.crons.len(), due.next_due), (1, None));
}
