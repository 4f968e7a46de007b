//! The traits [`Reads`] and [`Storage`]: one method for each thing that must be atomic. What goes in and out of them
//! is in [`types`](crate::types); how it is kept is no concern of this file.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::cron::Cron;
use selvedge_model::delivery::{Attempt, NewDelivery, PutOff, Verdict};
use selvedge_model::event::{EventId, StoredEvent};
use selvedge_model::item::{FoundItem, Item};
use selvedge_model::run::{Lease, Run, RunStatus};
use selvedge_model::thread::Thread;
use selvedge_model::{
    AssistantId, Caller, CheckpointId, CronId, DeliveryId, RunId, Scope, ThreadId, Timestamp,
};

use crate::StorageError;
use crate::types::{
    Admission, AssistantPatch, AssistantQuery, Batch, CancelRuns, Cancelled, Claims, CronFilter,
    CronInsert, CronQuery, CronReplace, CronTick, DeliveryQuery, DeliveryRecord, DueCrons,
    DueDeliveries, EventQuery, Finish, GoneThread, HistoryQuery, IndexTicket, IndexedItem, Insert,
    ItemQuery, LastWords, NamespaceQuery, NewRun, NewThread, Outbox, Page, PendingItem,
    PendingItems, Prune, Pruned, PutItem, Recovery, Redeliver, RunEnd, RunQuery, Share, StepCommit,
    Swept, ThreadFilter, ThreadPatch, ThreadQuery, ThreadStorage, ThreadUpdate, Ticked, Truncate,
    Updated, Values, VersionQuery,
};

/// What can be looked at. Every read sees what was committed when it began, and changes nothing: whoever holds only
/// this cannot write.
#[async_trait]
pub trait Reads: Send + Sync + 'static {
    /// One assistant.
    async fn assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
    ) -> Result<Option<Assistant>, StorageError>;
    /// Assistants that match, in the asked order, and whether there are more.
    async fn search_assistants(
        &self,
        scope: &Scope,
        query: AssistantQuery,
    ) -> Result<Page<Assistant>, StorageError>;
    /// How many assistants match; order, limit and offset do not count.
    async fn count_assistants(
        &self,
        scope: &Scope,
        query: AssistantQuery,
    ) -> Result<u64, StorageError>;
    /// The versions of an assistant, newest first; both times of each are the version's own. Empty when there is no
    /// such assistant.
    async fn assistant_versions(
        &self,
        scope: &Scope,
        query: VersionQuery,
    ) -> Result<Vec<Assistant>, StorageError>;

    /// One thread, with the values of its newest checkpoint when asked for.
    async fn thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        values: Values,
    ) -> Result<Option<Thread>, StorageError>;
    /// Threads that match, in the asked order, and whether there are more. Refused with [`StorageError::TooLarge`] when
    /// they weigh too much together; a single one never does.
    async fn search_threads(
        &self,
        scope: &Scope,
        query: ThreadQuery,
    ) -> Result<Page<Thread>, StorageError>;
    /// How many threads match.
    async fn count_threads(&self, scope: &Scope, filter: ThreadFilter)
    -> Result<u64, StorageError>;
    /// What a thread takes; `None` when there is none.
    async fn thread_storage(
        &self,
        scope: &Scope,
        id: ThreadId,
    ) -> Result<Option<ThreadStorage>, StorageError>;

    /// A checkpoint with its pending writes: the named one, or the newest of the namespace.
    async fn checkpoint(
        &self,
        scope: &Scope,
        thread: ThreadId,
        namespace: &str,
        at: Option<CheckpointId>,
    ) -> Result<Option<SavedCheckpoint>, StorageError>;
    /// The checkpoints of a thread with their pending writes, newest first, and whether there are more. Fewer than
    /// asked for come when they are large.
    async fn history(
        &self,
        scope: &Scope,
        query: HistoryQuery,
    ) -> Result<Page<SavedCheckpoint>, StorageError>;

    /// One run; `thread: None` finds it on any thread.
    async fn run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
    ) -> Result<Option<Run>, StorageError>;
    /// The runs of a thread, newest first. Refused with [`StorageError::TooLarge`] when they weigh too much together;
    /// a single one never does.
    async fn list_runs(&self, scope: &Scope, query: RunQuery) -> Result<Vec<Run>, StorageError>;
    /// How many runs were pending at the last commit. Asks nobody: it costs nothing.
    async fn count_pending_runs(&self) -> Result<u64, StorageError>;

    /// One cron.
    async fn cron(&self, scope: &Scope, id: CronId) -> Result<Option<Cron>, StorageError>;
    /// Crons that match, in the asked order, and whether there are more. Bounded in bytes as
    /// [`search_threads`](Self::search_threads) is.
    async fn search_crons(
        &self,
        scope: &Scope,
        query: CronQuery,
    ) -> Result<Page<Cron>, StorageError>;
    /// How many crons match.
    async fn count_crons(&self, scope: &Scope, filter: CronFilter) -> Result<u64, StorageError>;
    /// How many crons fire, were they due. Cheap enough to be asked often.
    async fn count_enabled_crons(&self) -> Result<u64, StorageError>;
    /// Up to `limit` crons that are due within these times, those that are due longest first; fewer when they are large.
    /// One that cannot be read is left out. Also says when the next one is due.
    async fn due_crons(
        &self,
        within: RangeInclusive<Timestamp>,
        limit: u32,
    ) -> Result<DueCrons, StorageError>;

    /// Stored events in the order of their ids, and whether there are more. Fewer than asked for come when they are
    /// large.
    async fn events(
        &self,
        scope: &Scope,
        query: EventQuery,
    ) -> Result<Page<StoredEvent>, StorageError>;
    /// The thread of a run whose events are stored: they outlive the run.
    async fn thread_of_events(
        &self,
        scope: &Scope,
        run: RunId,
    ) -> Result<Option<ThreadId>, StorageError>;
    /// The last id that is stored of a thread, or of a temporary run's: the next must be higher.
    async fn last_event_id(&self, thread: ThreadId) -> Result<Option<EventId>, StorageError>;

    /// One item of the store, unless its time has come.
    async fn item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
        now: Timestamp,
    ) -> Result<Option<Item>, StorageError>;
    /// Items that match, and whether there are more. Bounded in bytes as [`search_threads`](Self::search_threads) is.
    async fn search_items(
        &self,
        scope: &Scope,
        query: ItemQuery,
    ) -> Result<Page<FoundItem>, StorageError>;
    /// Items whose vectors are still to be made, those behind a ticket, in the order of tickets. Fewer than asked for
    /// come when they are large.
    async fn pending_items(
        &self,
        after: IndexTicket,
        limit: u32,
    ) -> Result<Vec<PendingItem>, StorageError>;
    /// How many there are of them, and how many whose vectors cannot be made.
    async fn count_pending_items(&self) -> Result<PendingItems, StorageError>;
    /// Namespaces that hold items and match.
    async fn list_namespaces(
        &self,
        scope: &Scope,
        query: NamespaceQuery,
    ) -> Result<Vec<Vec<String>>, StorageError>;

    /// The deliveries of a run with their attempts, of many the newest.
    async fn deliveries_of_run(
        &self,
        scope: &Scope,
        run: RunId,
    ) -> Result<Vec<DeliveryRecord>, StorageError>;
    /// One delivery with its attempts, of many the newest.
    async fn delivery(
        &self,
        scope: &Scope,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StorageError>;
    /// Deliveries that match, each with its last attempt, and whether there are more: newest first, and of those with
    /// one status those first that ended last. Fewer than asked for come when they are large.
    async fn list_deliveries(
        &self,
        scope: &Scope,
        query: DeliveryQuery,
    ) -> Result<Page<DeliveryRecord>, StorageError>;
    /// What one delivery sends, as it was stored; `None` when there is none.
    async fn delivery_to_send(&self, id: DeliveryId) -> Result<Option<NewDelivery>, StorageError>;
    /// What is still to be delivered.
    async fn outbox(&self) -> Result<Outbox, StorageError>;
    /// Whether the database answers and can still be written to.
    async fn check(&self) -> Result<(), StorageError>;
}

/// What storage promises beyond [`Reads`]. Every method is atomic: when it answers `Ok`, what it says is durable; when
/// it answers an error, nothing of it happened.
///
/// Dropping a future does not stop what it asked for. A claim whose answer nobody received holds until the process
/// ends, so whoever claims does so on a task that a caller who hangs up does not cancel.
#[async_trait]
pub trait Storage: Reads {
    // ------------------------------------------------------------------ assistants

    /// Makes the default assistants of the configured graphs exist as given. One that exists gets a new version when
    /// it was given otherwise the last time; else it stays as it is, with what callers changed about it.
    async fn ensure_assistants(&self, defaults: Vec<Assistant>) -> Result<(), StorageError>;
    /// Creates an assistant, in version 1, unless the id is taken.
    async fn create_assistant(
        &self,
        scope: &Scope,
        assistant: Assistant,
    ) -> Result<Insert<Assistant>, StorageError>;
    /// Changes an assistant: each call appends a version, the highest plus one, and makes it the current one. `None`
    /// when there is none.
    async fn update_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        patch: AssistantPatch,
        now: Timestamp,
    ) -> Result<Option<Assistant>, StorageError>;
    /// Makes an earlier version the current one, in all its parts; `None` when there is no such assistant or version.
    async fn set_latest(
        &self,
        scope: &Scope,
        id: AssistantId,
        version: i64,
        now: Timestamp,
    ) -> Result<Option<Assistant>, StorageError>;
    /// Deletes an assistant with its versions and cancels its runs that have not ended; `None` when there is none.
    async fn delete_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        request: CancelRequest,
        last_words: LastWords,
        now: Timestamp,
    ) -> Result<Option<Cancelled>, StorageError>;

    // ------------------------------------------------------------------ threads

    /// Creates a thread unless the id is taken: with this state, when there is one, or not at all. A thread that is
    /// created with a state comes with its values, any other without.
    async fn create_thread(
        &self,
        scope: &Scope,
        thread: NewThread,
        state: Option<ThreadUpdate>,
    ) -> Result<Insert<Thread>, StorageError>;
    /// Deletes a thread with its runs and checkpoints; `None` when there is none. Deliveries stay. Answers with whom it
    /// belonged to and those of the runs that had not ended, so that whoever watches it, executes one or waits for one
    /// can be told: no other is admitted to the thread between the list and the deletion.
    async fn delete_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
    ) -> Result<Option<GoneThread>, StorageError>;
    /// Changes a thread's metadata and lifetime; `None` when there is none. The thread comes without its values.
    async fn patch_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        patch: ThreadPatch,
    ) -> Result<Option<Thread>, StorageError>;
    /// Stores a change of a thread's state that was made outside its runs, with the events that tell of it, unless a
    /// run is pending or running or the state is not the one that the change was made for.
    async fn update_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        update: ThreadUpdate,
    ) -> Result<Updated, StorageError>;
    /// Makes a thread with another id that has the same metadata, checkpoints and pending writes; `None` when there
    /// is none to copy. Metadata of checkpoints that names its thread names the copy. It rests: what a run has under way stays behind. An error when the new id is taken.
    async fn copy_thread(
        &self,
        scope: &Scope,
        from: ThreadId,
        to: ThreadId,
        now: Timestamp,
    ) -> Result<Option<Thread>, StorageError>;
    /// Deletes threads, or their old checkpoints. Ids that there are not are passed over.
    async fn prune_threads(
        &self,
        scope: &Scope,
        ids: Vec<ThreadId>,
        how: Prune,
    ) -> Result<Pruned, StorageError>;
    /// Does to up to `limit` threads what their lifetime says, when so much time has passed since their last update
    /// and no run of theirs is pending or running. Those first whose time came first. Also says when the next one's
    /// time comes.
    async fn sweep_threads(&self, now: Timestamp, limit: u32) -> Result<Swept, StorageError>;

    // ------------------------------------------------------------------ runs

    /// Accepts a run: creates its thread when asked to, stamps the thread's metadata, marks it busy, carries out the
    /// run's strategy on the others of its thread as [`cancel_runs`](Self::cancel_runs) does, stores the run, and
    /// (when nothing stands before it on its thread) claims it for the caller at once, so that a free worker need not
    /// look for it. Runs of other threads that wait for a worker do not stand before it.
    async fn admit_run(&self, scope: &Scope, run: NewRun) -> Result<Admission, StorageError>;
    /// Accepts all of these runs, or none.
    async fn admit_runs(&self, scope: &Scope, runs: Vec<NewRun>) -> Result<Batch, StorageError>;
    /// Cancels runs that have not ended. One that has not begun ends now, with its delivery, and its thread rests
    /// again unless another run waits there. One that has begun is marked: from now on it can only
    /// [finish](Self::finish_run) as cancelled, also after a crash.
    async fn cancel_runs(
        &self,
        scope: &Scope,
        cancel: CancelRuns,
    ) -> Result<Cancelled, StorageError>;
    /// Deletes a run, without a delivery, and says which status it had; `None` when there is none. What a run that had
    /// ended left on its thread stays; what one that had not ended left is undone, and its lease ends.
    async fn delete_run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
        now: Timestamp,
    ) -> Result<Option<RunStatus>, StorageError>;
    /// Claims up to `limit` pending runs that may begin by `now`, oldest first, one per thread and none on a
    /// thread with a running run. Those whose owners have their share of running ones are passed over, which costs no
    /// more the more they are. Also says when the next one that is still too early may begin.
    async fn claim_runs(
        &self,
        now: Timestamp,
        limit: usize,
        share: Option<Share>,
    ) -> Result<Claims, StorageError>;
    /// Saves what a running run has done so far. Refused with [`StorageError::Fenced`] when the lease is not the
    /// run's newest. Of a temporary run only events are stored: after a crash it starts again from its input.
    async fn commit_step(&self, lease: Lease, step: StepCommit) -> Result<(), StorageError>;
    /// Ends a run: terminal status, last checkpoints, the thread's outcome and the delivery, or nothing of it.
    /// The thread's status becomes `busy` when other runs wait on it, else what `end` says. A temporary run and
    /// its rows are deleted. Fenced like [`commit_step`](Self::commit_step). When someone wants the run cancelled, an
    /// end that is not at least what they want is answered with that and stores nothing.
    async fn finish_run(&self, lease: Lease, end: RunEnd) -> Result<Finish, StorageError>;
    /// Puts a running run back to pending (shutdown); its attempt still counts. Fenced.
    async fn release_run(&self, lease: Lease, now: Timestamp) -> Result<(), StorageError>;

    // ------------------------------------------------------------------ crons

    /// Creates a cron, when its assistant and its thread are within its creator's scope. It goes with them. Its runs are
    /// its creator's, hence the whole caller: graphs are told what else was said of them.
    async fn create_cron(
        &self,
        creator: &Caller,
        cron: Cron,
        share: Option<Share>,
    ) -> Result<CronInsert, StorageError>;
    /// Puts a cron in the place of what it was, unless it is not any more what was `seen`: then what is new about it
    /// must be made again on what is there. Its `last_error` stays.
    async fn replace_cron(
        &self,
        scope: &Scope,
        seen: Cron,
        cron: Cron,
    ) -> Result<CronReplace, StorageError>;
    /// Deletes a cron; whether there was one. Its runs stay.
    async fn delete_cron(&self, scope: &Scope, id: CronId) -> Result<bool, StorageError>;
    /// Lets due times pass: for each, a run is admitted as by [`admit_run`](Self::admit_run) and the cron gets its next
    /// date, both or nothing. Two that ask for the same due time of a cron get one run, also when they ask in different
    /// processes, or one of them after a crash of the other. One whose thread has very many pending runs is refused as
    /// busy.
    async fn fire_crons(&self, ticks: Vec<CronTick>) -> Result<Vec<Ticked>, StorageError>;

    // ------------------------------------------------------------------ events

    /// Stores events of a running run before its next step does, or of a temporary one. Fenced.
    async fn append_events(
        &self,
        lease: Lease,
        events: Vec<StoredEvent>,
    ) -> Result<(), StorageError>;
    /// Deletes the events of runs that have ended, and of threads, to which none was added since a time; says of how
    /// many. As many as one write may take; whoever wants all gone asks again until it is 0.
    async fn sweep_events(&self, untouched_since: Timestamp) -> Result<u64, StorageError>;

    // ------------------------------------------------------------------ the store

    /// Puts an item in the place of the one with the same namespace and key, which leaves it its `created_at`.
    /// Where there is an index, or was one, its vectors are to be made now, and the answer says what stands for them;
    /// until they are made it is found without a score.
    async fn put_item(
        &self,
        scope: &Scope,
        item: PutItem,
    ) -> Result<Option<IndexTicket>, StorageError>;
    /// Deletes an item; whether there was one.
    async fn delete_item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
    ) -> Result<bool, StorageError>;
    /// Lets the lifetime of items begin anew, because they were read. For those that have one
    /// ([`Item::ttl`]); others are passed over.
    async fn refresh_items(
        &self,
        scope: &Scope,
        items: Vec<(Vec<String>, String)>,
        now: Timestamp,
    ) -> Result<(), StorageError>;
    /// Says what the vectors of items depend on from now on. If that is not what it was, the vectors of all items are
    /// to be made anew; answers with how many are to be made, those included that could not be.
    async fn open_index(&self, identity: String) -> Result<u64, StorageError>;
    /// Keeps vectors that were made, and notes which could not be. Those of an item that was put anew or deleted meanwhile are passed over.
    async fn index_items(&self, items: Vec<IndexedItem>) -> Result<(), StorageError>;
    /// Deletes up to `limit` items whose time has come, and says how many.
    async fn sweep_items(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;

    // ------------------------------------------------------------------ deliveries

    /// Claims up to `limit` deliveries that are due by `now`, and says when the next one is due. First attempts come
    /// before retries and before what was put off behind them, which have a quarter of the claim while they are due.
    /// A claim holds until [`record_attempt`](Self::record_attempt), [`put_off`](Self::put_off) or the end of the
    /// process. A row that cannot be read is left out, and logged, until then.
    async fn claim_deliveries(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StorageError>;
    /// Gives a claimed delivery back: records an attempt and what becomes of the delivery. An attempt that is recorded
    /// already stays as it is.
    async fn record_attempt(
        &self,
        id: DeliveryId,
        attempt: Attempt,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(), StorageError>;
    /// Gives claimed deliveries back that were not tried. One that is gone is passed over.
    async fn put_off(&self, deliveries: Vec<PutOff>) -> Result<(), StorageError>;
    /// Ends pending deliveries as disabled, due or not, and says how many. As many as one write may take; whoever wants
    /// all ended asks again until it is 0.
    async fn disable_deliveries(&self, now: Timestamp) -> Result<u64, StorageError>;
    /// Makes a delivery due now; `false` when there is none. One that had ended has its whole schedule before it again,
    /// under its own id, or, when it had ended as disabled, what was left of it; one that is being tried is left to that.
    async fn redeliver(
        &self,
        scope: &Scope,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool, StorageError>;
    /// The same for those that ended so within a time, and how many they were. As many as one write may take; whoever
    /// wants all asks again until it is 0.
    async fn redeliver_ended(
        &self,
        scope: &Scope,
        which: Redeliver,
        now: Timestamp,
    ) -> Result<u64, StorageError>;
    /// Deletes deliveries that ended before a time, with their bodies and attempts, those that ended first of all
    /// first, and says how many. As many as one write may take; whoever wants all gone asks again until it is 0.
    async fn prune_deliveries(&self, ended_before: Timestamp) -> Result<u64, StorageError>;

    // ------------------------------------------------------------------ life

    /// Voids the claims of a process that died: its running runs are pending again (those with `max_attempts`
    /// attempts behind them are returned instead, claimed, to be ended as failed), what it had taken to
    /// deliver is due as before, temporary runs start from their input. Those that someone wanted cancelled are returned
    /// as well, claimed, to be ended so.
    async fn recover(&self, now: Timestamp, max_attempts: u32) -> Result<Recovery, StorageError>;
    /// Empties tables, for development. Answers with the runs that are gone.
    async fn truncate(&self, what: Truncate, now: Timestamp) -> Result<Vec<RunId>, StorageError>;
    /// Finishes what is queued and closes; a copy of what is stored is whole from then on. Later calls fail with
    /// [`StorageError::Unavailable`].
    async fn close(&self);
}
