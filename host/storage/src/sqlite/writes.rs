//! [`Storage`]: each promise is sent to the writer, with what it weighs in the queue.

use async_trait::async_trait;
use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::cron::Cron;
use selvedge_model::delivery::{Attempt, PutOff, Verdict};
use selvedge_model::event::StoredEvent;
use selvedge_model::run::{Lease, RunStatus};
use selvedge_model::thread::Thread;
use selvedge_model::{
    AssistantId, Caller, CronId, DeliveryId, Json, RunId, Scope, ThreadId, Timestamp,
};

use super::{
    Sqlite, cancel, claims, crons, deliveries, events, item_index, items, prune, runs, steps,
    threads, ticks, truncate, update, versions,
};
use crate::types::{
    Admission, AssistantPatch, Batch, CancelRuns, Cancelled, Claims, CronInsert, CronReplace,
    CronTick, DueDeliveries, Finish, GoneThread, IndexTicket, IndexedItem, Insert, LastWords,
    NewRun, NewThread, Prune, Pruned, PutItem, Recovery, Redeliver, RunEnd, Share, StepCommit,
    Swept, ThreadPatch, ThreadUpdate, Ticked, Truncate, Updated, WhichRuns,
};
use crate::{Storage, StorageError};

/// What the fixed-size columns of a write weigh in the queue, beside its texts.
const UNIT_BYTES: usize = 256;

fn assistant_weight(assistant: &Assistant) -> usize {
    UNIT_BYTES + assistant.config.len() + assistant.context.len() + assistant.metadata.len()
}

#[async_trait]
impl Storage for Sqlite {
    async fn ensure_assistants(&self, defaults: Vec<Assistant>) -> Result<(), StorageError> {
        let bytes = defaults.iter().map(assistant_weight).sum();
        self.writer
            .write(bytes, |desk| versions::ensure(desk, defaults))
            .await
    }

    async fn create_assistant(
        &self,
        scope: &Scope,
        assistant: Assistant,
    ) -> Result<Insert<Assistant>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(assistant_weight(&assistant), move |desk| {
                versions::create(desk, &scope, assistant)
            })
            .await
    }

    async fn update_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        patch: AssistantPatch,
        now: Timestamp,
    ) -> Result<Option<Assistant>, StorageError> {
        let scope = scope.clone();
        let parts = [&patch.config, &patch.context, &patch.metadata];
        let bytes = UNIT_BYTES + parts.into_iter().flatten().map(Json::len).sum::<usize>();
        self.writer
            .write(bytes, move |desk| {
                versions::update(desk, &scope, id, patch, now)
            })
            .await
    }

    async fn set_latest(
        &self,
        scope: &Scope,
        id: AssistantId,
        version: i64,
        now: Timestamp,
    ) -> Result<Option<Assistant>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| {
                versions::set_latest(desk, &scope, id, version, now)
            })
            .await
    }

    async fn delete_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        request: CancelRequest,
        last_words: LastWords,
        now: Timestamp,
    ) -> Result<Option<Cancelled>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| {
                versions::delete(desk, &scope, id, &request, &last_words, now)
            })
            .await
    }

    async fn create_thread(
        &self,
        scope: &Scope,
        thread: NewThread,
        state: Option<ThreadUpdate>,
    ) -> Result<Insert<Thread>, StorageError> {
        let scope = scope.clone();
        let of_state = state.as_ref().map_or(0, |state| state.step.bytes());
        self.writer
            .write(UNIT_BYTES + thread.metadata.len() + of_state, move |desk| {
                update::create(desk, &scope, &thread, state)
            })
            .await
    }

    async fn delete_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
    ) -> Result<Option<GoneThread>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| threads::delete(desk, &scope, id))
            .await
    }

    async fn patch_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        patch: ThreadPatch,
    ) -> Result<Option<Thread>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(
                UNIT_BYTES + patch.metadata.as_ref().map_or(0, Json::len),
                move |desk| update::patch(desk, &scope, id, &patch),
            )
            .await
    }

    async fn update_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        update: ThreadUpdate,
    ) -> Result<Updated, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES + update.step.bytes(), move |desk| {
                update::state(desk, &scope, id, update)
            })
            .await
    }

    async fn copy_thread(
        &self,
        scope: &Scope,
        from: ThreadId,
        to: ThreadId,
        now: Timestamp,
    ) -> Result<Option<Thread>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| {
                update::copy(desk, &scope, from, to, now)
            })
            .await
    }

    async fn prune_threads(
        &self,
        scope: &Scope,
        ids: Vec<ThreadId>,
        how: Prune,
    ) -> Result<Pruned, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(
                UNIT_BYTES + ids.len() * size_of::<ThreadId>(),
                move |desk| prune::prune(desk, &scope, &ids, how),
            )
            .await
    }

    async fn sweep_threads(&self, now: Timestamp, limit: u32) -> Result<Swept, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| prune::sweep(desk, now, limit))
            .await
    }

    async fn admit_run(&self, scope: &Scope, run: NewRun) -> Result<Admission, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES + run.bytes(), move |desk| {
                runs::admit(desk, &scope, run)
            })
            .await
    }

    async fn admit_runs(&self, scope: &Scope, runs: Vec<NewRun>) -> Result<Batch, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(
                runs.iter().map(|run| UNIT_BYTES + run.bytes()).sum(),
                move |desk| runs::admit_all(desk, &scope, runs),
            )
            .await
    }

    async fn cancel_runs(
        &self,
        scope: &Scope,
        cancel: CancelRuns,
    ) -> Result<Cancelled, StorageError> {
        let scope = scope.clone();
        let named = match &cancel.which {
            WhichRuns::Named { ids, .. } => ids.len(),
            WhichRuns::Pending | WhichRuns::Running | WhichRuns::All => 0,
        };
        self.writer
            .write(UNIT_BYTES + named * size_of::<RunId>(), move |desk| {
                cancel::cancel(desk, &scope, &cancel)
            })
            .await
    }

    async fn delete_run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
        now: Timestamp,
    ) -> Result<Option<RunStatus>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| {
                cancel::delete(desk, &scope, thread, id, now)
            })
            .await
    }

    async fn claim_runs(
        &self,
        now: Timestamp,
        limit: usize,
        share: Option<Share>,
    ) -> Result<Claims, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| {
                claims::claim(desk, now, limit, share)
            })
            .await
    }

    async fn commit_step(&self, lease: Lease, step: StepCommit) -> Result<(), StorageError> {
        self.writer
            .write(UNIT_BYTES + step.bytes(), move |desk| {
                steps::commit(desk, &lease, step)
            })
            .await
    }

    async fn finish_run(&self, lease: Lease, end: RunEnd) -> Result<Finish, StorageError> {
        let body = end.delivery.as_ref().map_or(0, |d| d.body.len());
        let bytes = UNIT_BYTES + end.step.bytes() + body;
        self.writer
            .write(bytes, move |desk| steps::finish(desk, &lease, end))
            .await
    }

    async fn release_run(&self, lease: Lease, now: Timestamp) -> Result<(), StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| claims::release(desk, &lease, now))
            .await
    }

    async fn create_cron(
        &self,
        creator: &Caller,
        cron: Cron,
        share: Option<Share>,
    ) -> Result<CronInsert, StorageError> {
        let creator = creator.clone();
        self.writer
            .write(UNIT_BYTES + crons::bytes_of(&cron), move |desk| {
                crons::create(desk, &creator, &cron, share)
            })
            .await
    }

    async fn replace_cron(
        &self,
        scope: &Scope,
        seen: Cron,
        cron: Cron,
    ) -> Result<CronReplace, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES + crons::bytes_of(&cron), move |desk| {
                crons::replace(desk, &scope, &seen, &cron)
            })
            .await
    }

    async fn delete_cron(&self, scope: &Scope, id: CronId) -> Result<bool, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| crons::delete(desk.conn, &scope, id))
            .await
    }

    async fn fire_crons(&self, ticks: Vec<CronTick>) -> Result<Vec<Ticked>, StorageError> {
        let bytes = ticks.iter().map(|tick| UNIT_BYTES + ticks::weight(tick));
        self.writer
            .write(bytes.sum(), move |desk| ticks::fire(desk, ticks))
            .await
    }

    async fn append_events(
        &self,
        lease: Lease,
        events: Vec<StoredEvent>,
    ) -> Result<(), StorageError> {
        self.writer
            .write(UNIT_BYTES + events::weight(&events), move |desk| {
                steps::append_events(desk, &lease, &events)
            })
            .await
    }

    async fn sweep_events(&self, untouched_since: Timestamp) -> Result<u64, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| {
                events::sweep(desk.conn, untouched_since)
            })
            .await
    }

    async fn put_item(
        &self,
        scope: &Scope,
        item: PutItem,
    ) -> Result<Option<IndexTicket>, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES + items::weight(&item), move |desk| {
                items::put(desk.conn, &scope, &item)
            })
            .await
    }

    async fn delete_item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
    ) -> Result<bool, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| {
                items::delete(desk.conn, &scope, &namespace, &key)
            })
            .await
    }

    async fn refresh_items(
        &self,
        scope: &Scope,
        items: Vec<(Vec<String>, String)>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES * items.len().max(1), move |desk| {
                items::refresh(desk.conn, &scope, &items, now)
            })
            .await
    }

    async fn open_index(&self, identity: String) -> Result<u64, StorageError> {
        self.writer
            .write(UNIT_BYTES + identity.len(), move |desk| {
                item_index::open(desk.conn, &identity)
            })
            .await
    }

    async fn index_items(&self, items: Vec<IndexedItem>) -> Result<(), StorageError> {
        let bytes = UNIT_BYTES * items.len().max(1) + item_index::weight(&items);
        self.writer
            .write(bytes, move |desk| item_index::write(desk.conn, &items))
            .await
    }

    async fn sweep_items(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| items::sweep(desk.conn, now, limit))
            .await
    }

    async fn claim_deliveries(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| deliveries::claim(desk, now, limit))
            .await
    }

    async fn record_attempt(
        &self,
        id: DeliveryId,
        attempt: Attempt,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let bytes = UNIT_BYTES + attempt.response.as_ref().map_or(0, String::len);
        self.writer
            .write(bytes, move |desk| {
                deliveries::record(desk, id, &attempt, verdict, now)
            })
            .await
    }

    async fn put_off(&self, put_off: Vec<PutOff>) -> Result<(), StorageError> {
        self.writer
            .write(
                UNIT_BYTES + put_off.len() * size_of::<PutOff>(),
                move |desk| deliveries::put_off(desk, &put_off),
            )
            .await
    }

    async fn disable_deliveries(&self, now: Timestamp) -> Result<u64, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| deliveries::disable(desk.conn, now))
            .await
    }

    async fn redeliver(
        &self,
        scope: &Scope,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| {
                deliveries::redeliver(desk, &scope, id, now)
            })
            .await
    }

    async fn redeliver_ended(
        &self,
        scope: &Scope,
        which: Redeliver,
        now: Timestamp,
    ) -> Result<u64, StorageError> {
        let scope = scope.clone();
        self.writer
            .write(UNIT_BYTES, move |desk| {
                deliveries::redeliver_ended(desk.conn, &scope, &which, now)
            })
            .await
    }

    async fn prune_deliveries(&self, ended_before: Timestamp) -> Result<u64, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| {
                deliveries::prune(desk.conn, ended_before)
            })
            .await
    }

    async fn recover(&self, now: Timestamp, max_attempts: u32) -> Result<Recovery, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| {
                claims::recover(desk, now, max_attempts)
            })
            .await
    }

    async fn truncate(&self, what: Truncate, now: Timestamp) -> Result<Vec<RunId>, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| truncate::truncate(desk, what, now))
            .await
    }

    async fn close(&self) {
        self.close_queues();
        // An error is the news that is waited for: the sender is gone.
        let _ = self.ended.clone().changed().await;
    }
}
