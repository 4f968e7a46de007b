//! Promises about whom rows belong to.

use selvedge_model::{Identity, Scope, ThreadId};
use selvedge_storage::{
    Admission, Insert, MakeDelivery, NewRun, NewThread, PutItem, Refusal, Storage, ThreadFilter,
    ThreadNeed, Values,
};

use crate::given::{at, json, run};
use crate::home::Home;

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
        claim_by: Some(at(1)),
        max_pending_runs: 10,
        deliveries: MakeDelivery::default(),
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
    assert_eq!(gone, Some(vec![run]));
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
