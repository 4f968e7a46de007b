//! The memory of tasks: a bound for each, and one budget for all of them together, for which they wait.
//!
//! Tasks hold what they have until they end, so tasks that wait for each other's memory would wait for ever. Therefore
//! the last part of the budget, the *reserve*, is given to one task at a time, and is as large as any task's bound:
//! whoever has it can get all that it may ask for, ends, and the next one has it. Below the reserve memory is there
//! for the asking, first come first served. A task's wall clock is the deadline of its waiting.
//!
//! A task that called a graph holds what it has until the graph's tasks have ended. So it leaves the reserve to others, and
//! where nobody who has memory can go on before those who wait for it do, a task of a called graph does not wait: it
//! gets what is left, or else fails, so that its callers go on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::bound::{Bound, Exceeded};
use crate::options::Limits;

/// The budget of all live instances.
pub(crate) struct TotalMemory {
    limit: usize,
    /// Half of the budget at most: on a small machine tasks beyond that may fail rather than run one by one.
    reserve: usize,
    state: Mutex<State>,
    /// Something was given back, or the first of those who wait has changed.
    changed: Notify,
}

#[derive(Default)]
struct State {
    used: usize,
    /// Who may use the reserve; nobody while less than the rest is used.
    in_reserve: Option<Holder>,
    waiting: VecDeque<Waiting>,
    /// Who has memory, and whether it waits: for memory, or for a graph that it called.
    holding: HashMap<Holder, bool>,
    /// How many of those wait.
    at_rest: usize,
    holders: u64,
}

/// A task, for as long as it holds memory.
type Holder = u64;

/// One who waits for memory.
struct Waiting {
    holder: Holder,
    bytes: usize,
    callers: Callers,
}

/// The tasks that wait, each with its instance, for the graphs that they called and that a task is in, from the outermost.
#[derive(Clone, Default)]
pub struct Callers(Arc<[Holder]>);

impl Callers {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn and(&self, caller: Holder) -> Self {
        Self(self.0.iter().copied().chain([caller]).collect())
    }
}

enum Answer {
    Granted,
    Wait,
    /// Waiting would not help.
    Never,
}

impl TotalMemory {
    pub(crate) fn new(limit: usize, largest_task: usize) -> Self {
        Self {
            limit,
            reserve: largest_task.min(limit / 2),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// What all live instances have together.
    pub(crate) fn used(&self) -> usize {
        self.state.lock().used
    }

    fn new_holder(&self) -> Holder {
        let mut state = self.state.lock();
        state.holders += 1;
        state.holders
    }

    /// Waits until there is so much. `false`: there never will be.
    async fn take(&self, holder: Holder, callers: &Callers, bytes: usize) -> bool {
        let _place = Place {
            total: self,
            holder,
        };
        loop {
            let changed = self.changed.notified();
            match self.ask(holder, callers, bytes) {
                Answer::Granted => return true,
                Answer::Never => return false,
                Answer::Wait => changed.await,
            }
        }
    }

    fn ask(&self, holder: Holder, callers: &Callers, bytes: usize) -> Answer {
        let mut state = self.state.lock();
        let mut answer = self.answer(&state, holder, bytes);
        if matches!(answer, Answer::Wait) {
            if state.begins_to_wait(holder, callers, bytes) {
                // Whether others wait in vain may depend on this one.
                self.changed.notify_waiters();
            }
            if state.is_stuck(self.limit) && state.makes_way(callers) {
                answer = match state.used.saturating_add(bytes) <= self.limit {
                    true => Answer::Granted,
                    false => Answer::Never,
                };
            }
        }
        if matches!(answer, Answer::Granted) {
            state.used += bytes;
            state.holding.entry(holder).or_default();
            if state.used > self.limit - self.reserve {
                state.in_reserve = Some(holder);
            }
        }
        if !matches!(answer, Answer::Wait) && state.ends_waiting(holder) {
            self.changed.notify_waiters();
        }
        answer
    }

    fn answer(&self, state: &State, holder: Holder, bytes: usize) -> Answer {
        let after = state.used.saturating_add(bytes);
        let fits = after <= self.limit;
        if state.in_reserve == Some(holder) {
            // Those who wait may hold what it asks for, so it must not wait for them.
            return if fits { Answer::Granted } else { Answer::Never };
        }
        if bytes > self.limit || (bytes > self.reserve && !fits) {
            return Answer::Never;
        }
        let first = state.waiting.front();
        let is_first = first.is_none_or(|first| first.holder == holder);
        let is_open = after <= self.limit - self.reserve;
        if is_first && (is_open || (fits && state.in_reserve.is_none())) {
            return Answer::Granted;
        }
        Answer::Wait
    }

    fn leave_queue(&self, holder: Holder) {
        if self.state.lock().ends_waiting(holder) {
            self.changed.notify_waiters();
        }
    }

    /// A task waits for others, so it must not keep the reserve from them. It has what it holds, and may have to wait, or
    /// go without, when it asks for more.
    fn leave_reserve(&self, holder: Holder) {
        let mut state = self.state.lock();
        state.rests(holder, true);
        if state.in_reserve == Some(holder) {
            state.in_reserve = None;
        }
        self.changed.notify_waiters();
    }

    /// It waits for others no longer.
    fn goes_on(&self, holder: Holder) {
        self.state.lock().rests(holder, false);
    }

    fn give_back(&self, holder: Holder, bytes: usize) {
        let mut state = self.state.lock();
        state.rests(holder, false);
        state.holding.remove(&holder);
        state.used -= bytes;
        if state.in_reserve == Some(holder) || state.used <= self.limit - self.reserve {
            state.in_reserve = None;
        }
        self.changed.notify_waiters();
    }
}

impl State {
    /// `false`: it has waited already.
    fn begins_to_wait(&mut self, holder: Holder, callers: &Callers, bytes: usize) -> bool {
        if self.waiting.iter().any(|waiting| waiting.holder == holder) {
            return false;
        }
        self.waiting.push_back(Waiting {
            holder,
            bytes,
            callers: callers.clone(),
        });
        self.rests(holder, true);
        true
    }

    /// `false`: it did not wait.
    fn ends_waiting(&mut self, holder: Holder) -> bool {
        let waiting = self.waiting.len();
        self.waiting.retain(|waiting| waiting.holder != holder);
        let has_waited = self.waiting.len() < waiting;
        if has_waited {
            self.rests(holder, false);
        }
        has_waited
    }

    /// Whether one with these callers is whom all others wait for, so that they go on: one of a called graph, if there is
    /// any, because then its callers do.
    fn makes_way(&self, callers: &Callers) -> bool {
        let mut waiting = self.waiting.iter();
        callers.count() > 0 || waiting.all(|waiting| waiting.callers.count() == 0)
    }

    /// Whether one who has memory waits now.
    fn rests(&mut self, holder: Holder, rests: bool) {
        if let Some(rested) = self.holding.get_mut(&holder)
            && *rested != rests
        {
            *rested = rests;
            match rests {
                true => self.at_rest += 1,
                false => self.at_rest -= 1,
            }
        }
    }

    /// Whether nobody who has memory goes on before somebody gets some, and the first of those who wait cannot: each waits
    /// for memory, or for a graph with a task that does.
    fn is_stuck(&self, limit: usize) -> bool {
        let first_fits = |first: &Waiting| self.used.saturating_add(first.bytes) <= limit;
        // Looking at all of them is left for when all of them wait.
        if self.at_rest < self.holding.len() || self.waiting.front().is_none_or(first_fits) {
            return false;
        }
        let waiting = self.waiting.iter();
        let held_up: HashSet<Holder> = waiting
            .flat_map(|waiting| waiting.callers.0.iter().chain([&waiting.holder]))
            .copied()
            .collect();
        self.holding.keys().all(|holder| held_up.contains(holder))
    }
}

/// The place among those who wait, if it was needed; given up when the memory is there or nobody wants it any more.
struct Place<'a> {
    total: &'a TotalMemory,
    holder: Holder,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.total.leave_queue(self.holder);
    }
}

/// The memory of one task: all memories and tables of its instance.
pub(crate) struct MemoryMeter {
    used: usize,
    limit: usize,
    /// Of one table.
    table_elements: usize,
    total: Arc<TotalMemory>,
    holder: Holder,
    callers: Callers,
    waiting: bool,
}

impl MemoryMeter {
    pub(crate) fn new(limits: &Limits, total: Arc<TotalMemory>, callers: Callers) -> Self {
        Self {
            used: 0,
            limit: limits.memory_bytes,
            table_elements: limits.table_elements,
            holder: total.new_holder(),
            callers,
            total,
            waiting: false,
        }
    }

    /// Whether the task was waiting for memory when it was stopped.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// To be called before the task waits for a graph that it calls: the callers of the graph's tasks.
    pub(crate) fn waits_for_others(&self) -> Callers {
        self.total.leave_reserve(self.holder);
        self.callers.and(self.holder)
    }

    /// To be called after that.
    pub(crate) fn goes_on(&self) {
        self.total.goes_on(self.holder);
    }

    async fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        if self.used.saturating_add(bytes) > self.limit {
            return Err(Exceeded::new(
                Bound::Memory,
                format_args!(
                    "the task asked for more than {} bytes of memory",
                    self.limit
                ),
            )
            .into());
        }
        self.waiting = true;
        let granted = self.total.take(self.holder, &self.callers, bytes).await;
        self.waiting = false;
        if !granted {
            return Err(Exceeded::new(
                Bound::TotalMemory,
                format_args!(
                    "all running tasks together would have used more than {} bytes of memory",
                    self.total.limit
                ),
            )
            .into());
        }
        self.used += bytes;
        Ok(true)
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        self.total.give_back(self.holder, self.used);
    }
}

#[async_trait::async_trait]
impl wasmtime::ResourceLimiterAsync for MemoryMeter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current)).await
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // What the pool has room for is told as if the table had declared it, and is no less than the bound.
        let declared = maximum.filter(|maximum| *maximum < self.table_elements);
        if declared.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > self.table_elements {
            return Err(Exceeded::new(
                Bound::TableElements,
                format_args!(
                    "the task asked for a table of more than {} elements",
                    self.table_elements
                ),
            )
            .into());
        }
        // An element is a pointer.
        let elements = desired.saturating_sub(current);
        self.grow(elements.saturating_mul(size_of::<usize>())).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use futures_util::poll;

    use wasmtime::ResourceLimiterAsync as _;

    use super::*;

    /// Bound of a task, and so the reserve, and budget.
    const TASK: usize = 40;
    const BUDGET: usize = 100;

    fn budget() -> Arc<TotalMemory> {
        Arc::new(TotalMemory::new(BUDGET, TASK))
    }

    fn limits(memory_bytes: usize) -> Limits {
        Limits {
            memory_bytes,
            table_elements: 4,
            ..Limits::default()
        }
    }

    fn task(total: &Arc<TotalMemory>) -> MemoryMeter {
        called(total, Callers::default())
    }

    fn called(total: &Arc<TotalMemory>, callers: Callers) -> MemoryMeter {
        MemoryMeter::new(&limits(TASK), total.clone(), callers)
    }

    async fn grown(total: &Arc<TotalMemory>, bytes: usize) -> MemoryMeter {
        let mut task = task(total);
        assert!(task.grow(bytes).await.unwrap());
        task
    }

    fn bound(error: &wasmtime::Error) -> Bound {
        error.downcast_ref::<Exceeded>().unwrap().bound
    }

    #[tokio::test]
    async fn a_task_waits_for_memory_that_others_hold_and_gets_it_when_they_end() {
        let total = budget();
        let (first, _second) = (grown(&total, TASK).await, grown(&total, TASK).await);
        let mut third = task(&total);
        let mut growing = Box::pin(third.grow(TASK));
        assert!(poll!(growing.as_mut()).is_pending());
        drop(first);
        assert!(growing.await.unwrap());
        assert_eq!(total.state.lock().used, 2 * TASK);
    }

    #[tokio::test]
    async fn tasks_that_grow_little_by_little_never_wait_for_each_other_in_a_circle() {
        let total = budget();
        let one = || async {
            let mut task = task(&total);
            for _ in 0..TASK {
                assert!(task.grow(1).await.unwrap());
                assert!(total.state.lock().used <= BUDGET);
                tokio::task::yield_now().await;
            }
        };
        let all = join_all((0..50).map(|_| one()));
        tokio::time::timeout(Duration::from_secs(60), all)
            .await
            .expect("all of them end");
        assert_eq!(total.state.lock().used, 0);
    }

    #[tokio::test]
    async fn who_came_first_is_served_first() {
        let total = budget();
        let (first, _second) = (grown(&total, TASK).await, grown(&total, TASK).await);
        let (mut large, mut small) = (task(&total), task(&total));
        let mut large = Box::pin(large.grow(TASK));
        let mut small = Box::pin(small.grow(1));
        assert!(poll!(large.as_mut()).is_pending());
        assert!(poll!(small.as_mut()).is_pending());
        drop(first);
        assert!(poll!(small.as_mut()).is_pending());
        assert!(poll!(large.as_mut()).is_ready());
    }

    #[tokio::test]
    async fn who_waits_for_others_leaves_the_reserve_to_them() {
        let total = budget();
        let _held = [grown(&total, 30).await, grown(&total, 30).await];
        let caller = grown(&total, TASK / 2).await;
        let mut other = task(&total);
        let mut growing = Box::pin(other.grow(TASK / 2));
        assert!(poll!(growing.as_mut()).is_pending());
        caller.waits_for_others();
        assert!(growing.await.unwrap());
    }

    #[tokio::test]
    async fn a_called_task_fails_where_only_its_callers_hold_what_it_waits_for() {
        let total = budget();
        let other = grown(&total, 20).await;
        let outer = grown(&total, TASK).await;
        let mut inner = called(&total, outer.waits_for_others());
        assert!(inner.grow(30).await.unwrap());
        let mut innermost = called(&total, inner.waits_for_others());
        let mut growing = Box::pin(innermost.grow(TASK));
        // Somebody else has memory, and will give it back.
        assert!(poll!(growing.as_mut()).is_pending());
        drop(other);
        assert_eq!(bound(&growing.await.unwrap_err()), Bound::TotalMemory);
        drop(innermost);
        inner.goes_on();
        assert!(inner.grow(10).await.unwrap());
    }

    #[tokio::test]
    async fn callers_whose_graphs_wait_for_each_other_do_not_wait_in_a_circle() {
        let total = budget();
        let (one, two) = (grown(&total, TASK).await, grown(&total, TASK).await);
        let mut first = called(&total, one.waits_for_others());
        let mut first = Box::pin(first.grow(30));
        let callers = two.waits_for_others();
        // The graph that the second caller waits for may come to its end.
        assert!(poll!(first.as_mut()).is_pending());
        // It gets what there is, although it comes later, and no more.
        let small = called(&total, callers.clone()).grow(20).await;
        assert!(small.unwrap());
        let large = called(&total, callers).grow(30).await;
        assert_eq!(bound(&large.unwrap_err()), Bound::TotalMemory);
        assert!(poll!(first.as_mut()).is_pending());
        drop(two);
        assert!(first.await.unwrap());
    }

    #[tokio::test]
    async fn who_goes_away_keeps_nobody_waiting() {
        let total = budget();
        let _held = [grown(&total, 30).await, grown(&total, 29).await];
        let in_reserve = grown(&total, 30).await;
        let (mut gone, mut next) = (task(&total), task(&total));
        let mut gone = Box::pin(gone.grow(10));
        let mut next = Box::pin(next.grow(1));
        assert!(poll!(gone.as_mut()).is_pending());
        assert!(poll!(next.as_mut()).is_pending());
        drop(in_reserve);
        drop(gone);
        assert!(next.await.unwrap());
    }

    #[tokio::test]
    async fn a_task_beyond_its_own_bound_or_the_whole_budget_fails_at_once() {
        let total = budget();
        let error = task(&total).grow(TASK + 1).await.unwrap_err();
        assert_eq!(bound(&error), Bound::Memory);
        let mut larger = MemoryMeter::new(&limits(10 * BUDGET), total.clone(), Callers::default());
        let error = larger.grow(BUDGET + 1).await.unwrap_err();
        assert_eq!(bound(&error), Bound::TotalMemory);
        assert_eq!(total.state.lock().used, 0);
    }

    #[tokio::test]
    async fn a_table_beyond_its_own_bound_is_not_there_and_one_beyond_the_operators_ends_the_task()
    {
        let mut task = task(&budget());
        for (desired, declared, granted) in [
            (4, None, Some(true)),
            (3, Some(3), Some(true)),
            (4, Some(3), Some(false)),
            (5, Some(3), Some(false)),
            (5, None, None),
            (5, Some(4), None),
            (5, Some(5), None),
        ] {
            let answer = task.table_growing(desired - 1, desired, declared).await;
            match granted {
                Some(granted) => assert_eq!(answer.unwrap(), granted, "{desired} {declared:?}"),
                None => assert_eq!(bound(&answer.unwrap_err()), Bound::TableElements),
            }
        }
    }

    /// Where the budget is less than twice a task's bound the reserve cannot hold a whole task.
    #[tokio::test]
    async fn on_a_small_budget_a_task_fails_where_waiting_would_not_end() {
        let total = Arc::new(TotalMemory::new(TASK, TASK));
        let _first = grown(&total, TASK / 2).await;
        let mut in_reserve = grown(&total, TASK / 4).await;
        let error = in_reserve.grow(TASK / 2).await.unwrap_err();
        assert_eq!(bound(&error), Bound::TotalMemory);
    }
}
