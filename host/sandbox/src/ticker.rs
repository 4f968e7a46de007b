//! The one thread that advances the epoch for all guests, and rests while none of them computes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// How often a guest that computes without pause is interrupted: it yields its thread to its neighbours, and its
/// CPU time is looked at. Short enough for fairness, long enough to cost little (0.1 %).
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// After so many ticks in which no guest was at work the thread rests. Waking it costs a guest a system call, so a server
/// that is in use should not pay for it with each task.
const TICKS_BEFORE_REST: u32 = 50;

pub(crate) struct Ticker {
    guests: Arc<Guests>,
    thread: Thread,
}

#[derive(Default)]
struct Guests {
    /// Those that are on a thread now.
    at_work: AtomicUsize,
    resting: AtomicBool,
    stopped: AtomicBool,
}

/// A guest on a thread: while there is one the epoch goes on.
pub(crate) struct AtWork<'a>(&'a Guests);

impl Ticker {
    pub(crate) fn start<'a>(engines: impl Iterator<Item = &'a Engine>) -> io::Result<Self> {
        let guests = Arc::<Guests>::default();
        let engines: Vec<EngineWeak> = engines.map(Engine::weak).collect();
        let known = guests.clone();
        let handle = std::thread::Builder::new()
            .name("guest-ticker".into())
            .spawn(move || tick(&engines, &known))?;
        Ok(Self {
            guests,
            thread: handle.thread().clone(),
        })
    }

    /// Keeps the epoch going until what it gives is dropped.
    pub(crate) fn guest_at_work(&self) -> AtWork<'_> {
        // In this order here and in the opposite one there: one of the two sees what the other did.
        self.guests.at_work.fetch_add(1, Ordering::SeqCst);
        if self.guests.resting.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        AtWork(&self.guests)
    }
}

fn tick(engines: &[EngineWeak], guests: &Guests) {
    let mut idle_ticks = 0;
    while !guests.stopped.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        for engine in engines.iter().filter_map(EngineWeak::upgrade) {
            engine.increment_epoch();
        }
        idle_ticks = if guests.are_idle() { idle_ticks + 1 } else { 0 };
        if idle_ticks == TICKS_BEFORE_REST {
            guests.rest();
            idle_ticks = 0;
        }
    }
}

impl Guests {
    fn are_idle(&self) -> bool {
        self.at_work.load(Ordering::SeqCst) == 0
    }

    /// Called on the ticker's thread.
    fn rest(&self) {
        self.resting.store(true, Ordering::SeqCst);
        while self.are_idle() && !self.stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        self.resting.store(false, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.guests.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use wasm_encoder::{
        BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module,
        TypeSection,
    };
    use wasmtime::{Config, Instance, Store, Trap};

    use super::*;

    /// A module whose function `spin` never returns.
    fn spinning() -> Vec<u8> {
        let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
        types.ty().function([], []);
        functions.function(0);
        let mut exports = ExportSection::new();
        exports.export("spin", ExportKind::Func, 0);
        let mut spin = Function::new([]);
        let mut steps = spin.instructions();
        steps.loop_(BlockType::Empty).br(0).end().end();
        let mut code = CodeSection::new();
        code.function(&spin);
        let mut module = Module::new();
        module.section(&types).section(&functions);
        module.section(&exports).section(&code);
        module.finish()
    }

    #[test]
    fn it_rests_while_nobody_computes_and_interrupts_whoever_begins_then() {
        let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let ticker = Ticker::start(std::iter::once(&engine)).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !ticker.guests.resting.load(Ordering::SeqCst) {
            assert!(Instant::now() < until, "it never rests");
            thread::yield_now();
        }
        let module = wasmtime::Module::new(&engine, spinning()).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let spin = instance
            .get_typed_func::<(), ()>(&mut store, "spin")
            .unwrap();
        let _at_work = ticker.guest_at_work();
        let ended = spin.call(&mut store, ()).unwrap_err();
        assert_eq!(ended.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
    }
}
