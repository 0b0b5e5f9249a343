//! The frames of one publication, encoded once per form for all of its listeners.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    metrics::Metrics,
    wire::frames::{Form, PerForm, Publication},
};

/// The buffers are used again for every publication.
pub struct EncodedFrames {
    frames: PerForm<EncodedFrame>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct EncodedFrame {
    buffer: Vec<u8>,
    /// Where the frame begins in the buffer, once it is encoded.
    start: Option<usize>,
}

impl EncodedFrames {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { frames: PerForm::default(), metrics }
    }

    /// Forgets the frames. This must precede the first frame of another publication.
    pub fn clear(&mut self) {
        for form in Form::ALL {
            self.frames.get_mut(form).start = None;
        }
    }

    /// The frame of a publication in one form. The first listener of that form has it encoded.
    pub fn get<D: Serialize>(&mut self, form: Form, publication: &Publication<'_, D>) -> &[u8] {
        let EncodedFrame { buffer, start } = self.frames.get_mut(form);
        let start = *start.get_or_insert_with(|| {
            self.metrics.frames_encoded.for_channel(publication.channel).inc();
            publication.encode(form, buffer)
        });
        &buffer[start..]
    }
}

#[cfg(test)]
mod tests {
    use schemas::{channel::Channel, view::Position};

    use super::*;
    use crate::wire::frames::PublicationKind;

    #[test]
    fn frame_is_encoded_once_per_form_and_publication() {
        let metrics = Arc::new(Metrics::new());
        let mut frames = EncodedFrames::new(metrics.clone());
        let channel = Channel::parse("board:riverside").unwrap();
        let publish = |frames: &mut EncodedFrames, version| {
            let position = Position { epoch: 7, version };
            let kind = PublicationKind::Delta;
            let publication = Publication { channel: &channel, kind, position, data: &version };
            frames.clear();
            for form in [Form::Sse, Form::Sse, Form::WsJson, Form::WsJson] {
                let frame = frames.get(form, &publication);
                assert!(String::from_utf8_lossy(frame).contains(&version.to_string()));
            }
        };
        publish(&mut frames, 8);
        assert_eq!(metrics.frames_encoded.for_channel(&channel).get(), 2);
        publish(&mut frames, 9);
        assert_eq!(metrics.frames_encoded.for_channel(&channel).get(), 4);
    }
}
