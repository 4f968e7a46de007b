//! What a component answers: the exports of `wit/graph.wit`, those that it may lack among them.

use selvedge_model::Json;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift};
use wasmtime::{Engine, Result, Store};

use crate::guest::{GuestFailure, GuestIndices, GuestInstance, TaskState};

/// Of the contract, since 0.1.2.
const CONFIGURED: &str = "selvedge:graph/configured@0.1.2";

/// A component that is linked, with what it exports.
#[derive(Clone)]
pub(crate) struct Guest {
    pre: InstancePre<TaskState>,
    indices: GuestIndices,
    configured: Option<Configured>,
}

/// The functions for graphs that depend on how a run is configured.
#[derive(Clone)]
struct Configured {
    describe_for: ComponentExportIndex,
    configure: ComponentExportIndex,
}

impl Guest {
    /// # Errors
    /// When it lacks what each component must export.
    pub(crate) fn new(pre: InstancePre<TaskState>) -> Result<Self> {
        let component = pre.component();
        let configured = component.get_export_index(None, CONFIGURED);
        let configured = configured.and_then(|interface| {
            let function = |name| component.get_export_index(Some(&interface), name);
            Some(Configured {
                describe_for: function("describe-for")?,
                configure: function("configure")?,
            })
        });
        Ok(Self {
            indices: GuestIndices::new(&pre)?,
            configured,
            pre,
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// Whether it may have graphs that depend on how a run is configured.
    pub(crate) fn is_configured(&self) -> bool {
        self.configured.is_some()
    }

    /// A fresh instance.
    pub(crate) async fn start(&self, store: &mut Store<TaskState>) -> Result<Started> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        Ok(Started {
            guest: self.indices.load(&mut *store, &instance)?,
            configured: self.configured.clone(),
            instance,
        })
    }
}

/// An instance, and how it is called.
pub(crate) struct Started {
    pub(crate) guest: GuestInstance,
    configured: Option<Configured>,
    instance: Instance,
}

impl Started {
    /// Asks what a graph is made of under a setting.
    pub(crate) async fn describe_for(
        &self,
        store: &mut Store<TaskState>,
        graph: &str,
        setting: &Json,
    ) -> Result<Result<String, GuestFailure>> {
        let Some(configured) = &self.configured else {
            return Ok(Err(not_exported()));
        };
        self.ask(store, &configured.describe_for, graph, setting)
            .await
    }

    /// Says for which setting the graph of the following calls is built.
    pub(crate) async fn configure(
        &self,
        store: &mut Store<TaskState>,
        graph: &str,
        setting: &Json,
    ) -> Result<Result<(), GuestFailure>> {
        let Some(configured) = &self.configured else {
            return Ok(Err(not_exported()));
        };
        self.ask(store, &configured.configure, graph, setting).await
    }

    async fn ask<T>(
        &self,
        store: &mut Store<TaskState>,
        function: &ComponentExportIndex,
        graph: &str,
        setting: &Json,
    ) -> Result<Result<T, GuestFailure>>
    where
        (Result<T, GuestFailure>,): ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let function = self
            .instance
            .get_typed_func::<(&str, &str), (Result<T, GuestFailure>,)>(&mut *store, function)?;
        let (answer,) = function
            .call_async(store, (graph, setting.as_str()))
            .await?;
        Ok(answer)
    }
}

fn not_exported() -> GuestFailure {
    GuestFailure {
        kind: "UnknownGraph".to_owned(),
        message: format!("the component has no graphs for a configuration: it lacks {CONFIGURED}"),
        retryable: false,
    }
}
