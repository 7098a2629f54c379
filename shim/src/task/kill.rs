//! Signals.

use std::sync::Arc;

use cloister_proto::control::{Signal, SignalTarget};
use cloister_runtime::container::kill;

use super::{Container, Phase, blocking};
use crate::error::ShimError;

impl Container {
    /// Sends a signal to a process of the container, or to all.
    ///
    /// # Errors
    ///
    /// The process has ended, or was not started.
    pub(crate) async fn kill(
        self: &Arc<Self>,
        exec_id: &str,
        signal: u32,
        all: bool,
    ) -> Result<(), ShimError> {
        let process = self.process(exec_id)?;
        let state = process.state();
        let signal = i32::try_from(signal).ok().filter(|signal| (0..=64).contains(signal));
        let signal = signal.ok_or_else(|| ShimError::Request("a signal is a number from 0 to 64".into()))?;
        match state.phase {
            Phase::Ended(_) => return Err(ShimError::Finished(process.name.to_string())),
            Phase::Created | Phase::Starting if !exec_id.is_empty() => {
                return Err(process.wrong_state("signal", "was not started"));
            }
            _ => {}
        }
        // It only asks whether there is a process.
        if signal == 0 {
            return Ok(());
        }
        if exec_id.is_empty() {
            let (store, id) = (self.store.clone(), self.id.clone());
            return blocking(move || Ok(kill(&store.open(&id)?, signal, all)?)).await;
        }
        let target = SignalTarget::Process(i32::try_from(state.pid).unwrap_or_default());
        self.call("signal", move |id| Signal { id, signal, target }).await.map(drop)
    }
}
