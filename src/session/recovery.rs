//! What a session does when a device that holds a part of the model is gone: the model is placed
//! anew on those that are left, down to the CPU, and the conversation, whose keys and values went
//! with the device, is read again from its beginning.

use super::{Event, Session};
use crate::{Result, runtime::placement::Uploaded};
use std::ops::ControlFlow;

impl From<Uploaded> for Event<'_> {
    fn from(uploaded: Uploaded) -> Self {
        Event::Placing {
            done: uploaded.done,
            total: uploaded.total,
        }
    }
}

impl Session {
    /// Places the model on the devices that are left, if one is gone.
    pub(super) fn recover(
        &mut self,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        if !self.decoder.is_lost() {
            return Ok(());
        }
        self.forget_from(0);
        // First the old one's memory, then the new one.
        self.decoder.vacate(&self.decoder_options)?;
        let mut progress = |uploaded: Uploaded| events(uploaded.into());
        self.decoder = self.placer.decoder(
            &self.model,
            &self.decoder_options,
            &self.cancel,
            &mut progress,
        )?;
        for note in self.decoder.plan().notes.clone() {
            self.tell(events, Event::Note(&note))?;
        }
        Ok(())
    }
}
