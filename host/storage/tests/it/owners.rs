//! Promises about whom rows belong to.

use std::sync::Arc;

use selvedge_model::cancel::CancelAction;
use selvedge_model::cron::Cron;
use selvedge_model::item::IndexedParts;
use selvedge_model::{AssistantId, Caller, Identity, Scope, ThreadId};
use selvedge_storage::{
    Admission, CancelRuns, CronFilter, CronInsert, CronReplace, GoneThread, Insert, LastWords,
    NewRun, NewThread, PutItem, Refusal, Storage, ThreadFilter, ThreadNeed, Values, WhichRuns,
};

use crate::assistants::assistant;
use crate::cancelling::wish;
use crate::crons::{cron, fire, open, run_of, tick};
use crate::given::{at, json, new_run, run, unclaimed};
use crate::home::Home;
use crate::unbegun::{last_words, told};

fn of(name: &str) -> Scope {
    Scope::Of(Identity::new(name).unwrap())
}

fn operator() -> Scope {
    Scope::Operator(Identity::new("olga").unwrap())
}

fn thread(id: ThreadId) -> NewThread {
    NewThread {
        thread_id: id,
        metadata: json("{}"),
        created_at: at(0),
        ttl: None,
    }
}

async fn admitted(
    storage: &dyn Storage,
    scope: &Scope,
    new: NewRun,
) -> Result<Option<Identity>, Refusal> {
    match storage.admit_run(scope, new).await.unwrap() {
        Admission::Claimed(claimed, _) => Ok(claimed.owner),
        Admission::Queued(..) => panic!("nothing stood before it"),
        Admission::Refused(refusal) => Err(refusal),
    }
}

pub async fn a_thread_and_its_runs_are_there_for_their_owner_and_for_operators(home: &dyn Home) {
    let storage = home.open();
    let id = ThreadId::new();
    let created = storage.create_thread(&of("ann"), thread(id), None).await;
    assert!(matches!(created.unwrap(), Insert::Created(_)));
    let again = storage.create_thread(&of("bob"), thread(id), None).await;
    assert!(matches!(again.unwrap(), Insert::Taken));
    let new = |need: ThreadNeed| NewRun {
        run: run(id, at(1)),
        thread: need,
        answers: Vec::new(),
        claim_by: Some(at(1)),
        max_pending_runs: 10,
        share: None,
        last_words: LastWords::default(),
    };
    let (metadata, config) = (json("{}"), json("{}"));
    let existing = ThreadNeed::Existing {
        metadata: metadata.clone(),
        config: config.clone(),
    };
    let create = ThreadNeed::Create {
        metadata,
        config,
        ttl: None,
    };
    for need in [existing.clone(), create] {
        let refused = admitted(storage.as_ref(), &of("bob"), new(need)).await;
        assert_eq!(refused, Err(Refusal::NoThread));
    }
    // What an operator does on somebody's thread is that somebody's.
    let asked = new(existing);
    let run = asked.run.run_id;
    let owner = admitted(storage.as_ref(), &operator(), asked).await;
    assert_eq!(owner, Ok(Identity::new("ann")));
    for (scope, sees) in [
        (of("ann"), true),
        (of("bob"), false),
        (operator(), true),
        (Scope::Host, true),
    ] {
        let thread = storage.thread(&scope, id, Values::Skip).await.unwrap();
        assert_eq!(thread.is_some(), sees, "{scope:?}");
        let found = storage.run(&scope, None, run).await.unwrap();
        assert_eq!(found.is_some(), sees, "{scope:?}");
        let count = storage.count_threads(&scope, ThreadFilter::default()).await;
        assert_eq!(count.unwrap(), u64::from(sees), "{scope:?}");
    }
    let gone = storage.delete_thread(&of("bob"), id).await.unwrap();
    assert_eq!(gone, None);
    let gone = storage.delete_thread(&of("ann"), id).await.unwrap();
    let expected = GoneThread {
        thread_id: id,
        owner: Identity::new("ann"),
        unended: vec![run],
    };
    assert_eq!(gone, Some(expected));
}

pub async fn items_of_the_same_name_are_different_items_of_each_owner(home: &dyn Home) {
    let storage = home.open();
    let scopes = [Scope::Host, of("ann"), of("anna"), operator()];
    let name = || (vec!["a".to_owned()], "k".to_owned());
    for (number, scope) in scopes.iter().enumerate() {
        let (namespace, key) = name();
        let item = PutItem {
            namespace,
            key,
            value: json(&format!(r#"{{"n":{number}}}"#)),
            ttl: None,
            parts: IndexedParts::AsConfigured,
            now: at(0),
        };
        storage.put_item(scope, item).await.unwrap();
    }
    for (number, scope) in scopes.iter().enumerate() {
        let (namespace, key) = name();
        let found = storage.item(scope, namespace, key, at(1)).await.unwrap();
        assert_eq!(
            found.unwrap().value.as_str(),
            format!(r#"{{"n":{number}}}"#)
        );
    }
    let (namespace, key) = name();
    assert!(
        storage
            .delete_item(&of("ann"), namespace, key)
            .await
            .unwrap()
    );
    let (namespace, key) = name();
    let other = storage
        .item(&of("anna"), namespace, key, at(1))
        .await
        .unwrap();
    assert!(other.is_some());
}

pub async fn a_run_that_ends_before_it_began_leaves_its_delivery_to_its_owner(home: &dyn Home) {
    let storage = home.open();
    let new = told(unclaimed(new_run(ThreadId::new(), at(0))));
    let run = new.run.run_id;
    storage.admit_run(&of("ann"), new).await.unwrap();
    let cancel = CancelRuns {
        which: WhichRuns::All,
        request: wish(CancelAction::Interrupt),
        last_words: last_words(),
        now: at(1),
    };
    let passed_over = storage.cancel_runs(&of("bob"), cancel.clone()).await;
    assert!(passed_over.unwrap().ended.is_empty());
    let cancelled = storage.cancel_runs(&of("ann"), cancel).await.unwrap();
    assert_eq!(cancelled.ended, [run]);
    for (scope, sees) in [(of("ann"), 1), (of("bob"), 0), (operator(), 1)] {
        let found = storage.deliveries_of_run(&scope, run).await.unwrap();
        assert_eq!(found.len(), sees, "{scope:?}");
    }
}

pub async fn a_cron_and_its_runs_are_their_creators(home: &dyn Home) {
    let storage = open(home).await;
    let caller = |name: &str| {
        let permissions = Arc::from([format!("of-{name}")]);
        Caller::authenticated(Identity::new(name).unwrap(), permissions)
    };
    let (ann, bob) = (caller("ann"), caller("bob"));
    let on = ThreadId::new();
    let created = storage.create_thread(&ann.scope, thread(on), None).await;
    assert!(matches!(created.unwrap(), Insert::Created(_)));
    let hers = assistant("agent", "hers", "{}");
    let created = storage.create_assistant(&ann.scope, hers).await;
    assert!(matches!(created.unwrap(), Insert::Created(_)));

    let on_anns_thread = Cron {
        thread_id: Some(on),
        on_run_completed: None,
        ..cron(10)
    };
    let refused = storage.create_cron(&bob, on_anns_thread, None).await;
    assert_eq!(refused.unwrap(), CronInsert::NoThread);
    let of_anns_assistant = Cron {
        assistant_id: AssistantId::default_of("hers"),
        ..cron(10)
    };
    let refused = storage
        .create_cron(&bob, of_anns_assistant.clone(), None)
        .await;
    assert_eq!(refused.unwrap(), CronInsert::NoAssistant);

    let cron = Cron {
        user_id: "ann".to_owned(),
        ..of_anns_assistant
    };
    let created = storage.create_cron(&ann, cron.clone(), None).await.unwrap();
    assert_eq!(created, CronInsert::Created);
    for (scope, sees) in [
        (&ann.scope, true),
        (&bob.scope, false),
        (&operator(), true),
        (&Scope::Host, true),
    ] {
        let found = storage.cron(scope, cron.cron_id).await.unwrap();
        assert_eq!(found, sees.then(|| cron.clone()), "{scope:?}");
        let count = storage.count_crons(scope, CronFilter::default()).await;
        assert_eq!(count.unwrap(), u64::from(sees), "{scope:?}");
    }
    let changed = storage.replace_cron(&bob.scope, cron.clone(), cron.clone());
    assert_eq!(changed.await.unwrap(), CronReplace::Gone);
    let deleted = storage.delete_cron(&bob.scope, cron.cron_id).await;
    assert!(!deleted.unwrap());

    let due = storage
        .due_crons(at(0)..=at(10), 10)
        .await
        .unwrap()
        .crons
        .remove(0);
    assert_eq!((&due.cron, &due.creator), (&cron, &ann));
    let mut tick = tick(&cron);
    tick.run.as_mut().unwrap().scope = due.creator.scope;
    let run = run_of(&fire(&storage, tick).await).unwrap();
    let seen = storage.run(&ann.scope, None, run).await.unwrap();
    assert!(seen.is_some());
    let seen = storage.run(&bob.scope, None, run).await.unwrap();
    assert!(seen.is_none());
}
