//! [`Content`]: what an answer's body holds, by whatever protocol it comes: its content coding is undone, and it is cut into
//! events or gathered. Sans I/O; where the body ends is the protocol's to say.

use crate::{
    arrival::Arrival,
    client::{Delivery, Receiver, Whole},
    decode::Decoder,
    framing::Frames,
    http1::Fields,
};
use inferometer_model::{Failure, FailureKind};

/// Most of a body that is handed over whole, in bytes; the rest is read and counted.
const LONGEST_BODY: usize = 64 << 20;
/// Memory that is kept from one answer to the next, in bytes.
const KEPT: usize = 16 << 10;

/// The body of one answer. It serves one after another, and keeps its buffer.
#[derive(Default)]
pub(crate) struct Content {
    /// Undoes the content coding, where there is one.
    decoder: Option<Box<Decoder>>,
    /// Cuts the body into events, where it is a stream.
    frames: Option<Frames>,
    /// What is handed over is an error's page: damage to it is no matter.
    is_refusal: bool,
    /// The body so far, where it is handed over whole.
    gathered: Vec<u8>,
    /// The body went on after what was gathered.
    is_cut: bool,
}

impl Content {
    /// Begins with the head of an answer, which `receiver` is told. `encoding` is the value of Content-Encoding, empty if
    /// there is none.
    ///
    /// # Errors
    /// A good answer is in a coding that is not known. That of another goes unread, and its status is told.
    pub(crate) fn begin(
        &mut self,
        status: u16,
        content_type: &str,
        encoding: &str,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        self.gathered.clear();
        self.gathered.shrink_to(KEPT);
        self.is_cut = false;
        self.is_refusal = !(200..300).contains(&status);
        self.decoder = Decoder::of(encoding).map(Box::new);
        self.frames = match receiver.head(status, content_type) {
            Delivery::Events(framing) => Some(Frames::new(framing)),
            Delivery::Whole => None,
        };
        if self.decoder.is_none() && is_coded(encoding) && !self.is_refusal {
            return Err(Failure::new(
                FailureKind::Malformed,
                format!(
                    "the answer is in '{}' coding, which was not asked for; gzip and deflate can be read: switch the \
                     compression off at the server or at the proxy before it",
                    encoding.trim()
                ),
            ));
        }
        Ok(())
    }

    /// Whether the body is handed over as it came, and at its end: [`Receiver::whole`] may then be given it where it lies,
    /// without [`feed`](Self::feed) and [`finish`](Self::finish).
    pub(crate) fn is_plain(&self) -> bool {
        self.decoder.is_none() && self.frames.is_none()
    }

    /// Whether the body is handed over whole, and the head's fields with it.
    pub(crate) fn is_whole(&self) -> bool {
        self.frames.is_none()
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// What `receiver` returned, or what is wrong with the body.
    #[inline]
    pub(crate) fn feed(&mut self, data: &[u8], arrival: Arrival, receiver: &mut impl Receiver) -> Result<(), Failure> {
        match (&mut self.decoder, &mut self.frames) {
            (None, Some(frames)) => frames.feed(data, &mut |name, data| receiver.event(name, data, arrival)),
            (None, None) => {
                gather(&mut self.gathered, &mut self.is_cut, data);
                Ok(())
            }
            (Some(decoder), Some(frames)) => decoder
                .feed(data, &mut |block| frames.feed(block, &mut |name, data| receiver.event(name, data, arrival))),
            (Some(decoder), None) => {
                let (gathered, is_cut) = (&mut self.gathered, &mut self.is_cut);
                let decoded = decoder.feed(data, &mut |block| {
                    gather(gathered, is_cut, block);
                    Ok(())
                });
                if self.is_refusal { Ok(()) } else { decoded }
            }
        }
    }

    /// The body is over. `fields` are those of the head.
    ///
    /// # Errors
    /// What `receiver` returned, or what is wrong with the body.
    pub(crate) fn finish(
        &mut self,
        fields: Fields<'_>,
        arrival: Arrival,
        receiver: &mut impl Receiver,
    ) -> Result<(), Failure> {
        if let Some(frames) = &mut self.frames {
            frames.finish(&mut |name, data| receiver.event(name, data, arrival))?;
        }
        if let Some(decoder) = self.decoder.take()
            && !self.is_refusal
        {
            decoder.finish()?;
        }
        match self.frames.take() {
            Some(_) => Ok(()),
            None => receiver.whole(Whole { fields, body: &self.gathered, is_cut: self.is_cut }, arrival),
        }
    }
}

fn gather(gathered: &mut Vec<u8>, is_cut: &mut bool, data: &[u8]) {
    let kept = data.len().min(LONGEST_BODY - gathered.len());
    *is_cut |= kept < data.len();
    gathered.extend_from_slice(&data[..kept]);
}

/// Whether a Content-Encoding of that value means that the body is coded.
fn is_coded(encoding: &str) -> bool {
    let encoding = encoding.trim();
    !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")
}
