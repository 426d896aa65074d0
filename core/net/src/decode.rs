//! [`Decoder`]: undoing a content coding (gzip, deflate) while the body comes. Sans I/O; it holds one block of output at a
//! time, however much the input unfolds to.

use flate2::{Crc, Decompress, FlushDecompress, Status};
use inferometer_model::{Failure, FailureKind};

/// Bytes that are unfolded at once.
const BLOCK: usize = 16 << 10;
/// What unfolds to more bytes than this, and to more than so many times its own, is no answer: deflate can do 1,032 times,
/// text does a tenth of the limit.
const SUSPECT_BYTES: u64 = 64 << 20;
const SUSPECT_RATIO: u64 = 100;

/// Undoes one content coding.
pub(crate) struct Decoder {
    coding: Coding,
    state: State,
    inflate: Decompress,
    /// Of the gzip member at hand.
    crc: Crc,
    block: Box<[u8]>,
    taken: u64,
    given: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the fixed part of a gzip header; `flags` is its fourth byte.
    Header {
        at: u8,
        flags: u8,
    },
    /// In the length of the header's extra field, and then in the field.
    ExtraLength {
        at: u8,
        length: u16,
        flags: u8,
    },
    Extra {
        left: u16,
        flags: u8,
    },
    /// In a name or comment that ends with a zero.
    Words {
        flags: u8,
    },
    HeaderSum {
        left: u8,
    },
    /// At the first byte of a deflate body, which tells whether it has zlib's frame, as it should, or none, as from some.
    Frame,
    Data,
    /// In the checksum and length after the data.
    Trailer {
        at: u8,
        bytes: [u8; 8],
    },
    /// Behind a member; another one may follow, and whatever else follows is passed over.
    Done,
}

/// Bits of a gzip header's flags, in the order of what they announce.
const HEADER_SUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

impl Decoder {
    /// The decoder for the coding that goes by `name` in a Content-Encoding field, if there is one.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let (coding, state) = match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => (Coding::Gzip, State::Header { at: 0, flags: 0 }),
            "deflate" => (Coding::Deflate, State::Frame),
            _ => return None,
        };
        Some(Self {
            coding,
            state,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            block: vec![0; BLOCK].into(),
            taken: 0,
            given: 0,
        })
    }

    /// Takes the next piece of the coded body and hands on what it unfolds to, block by block.
    ///
    /// # Errors
    /// What `emit` returned, or that the piece is not in the coding, or that it unfolds without measure.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        emit: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while let Some(&byte) = input.first() {
            if self.state == State::Data {
                input = self.inflate(input, emit)?;
                continue;
            }
            if self.state == State::Frame {
                // zlib's first byte: the method, 8, and a window of at most 32 KiB. Of a bare block that would be one that
                // is stored, and none begins with such bits in between.
                self.inflate = Decompress::new(byte & 0x8f == 8);
                self.state = State::Data;
                continue;
            }
            self.state = self.frame(byte)?;
            self.taken += 1;
            input = &input[1..];
        }
        Ok(())
    }

    /// The body is over.
    ///
    /// # Errors
    /// It broke off before its end.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self.state {
            State::Done => Ok(()),
            // No body at all is an empty one.
            _ if self.taken == 0 => Ok(()),
            _ => Err(Failure::new(
                FailureKind::Truncated,
                format!("the body ended in the middle of its {} coding", self.coding.name()),
            )),
        }
    }

    /// Unfolds what it can of `input`; what is left of it.
    fn inflate<'a>(
        &mut self,
        mut input: &'a [u8],
        emit: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<&'a [u8], Failure> {
        loop {
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let unfolded = self.inflate.decompress(input, &mut self.block, FlushDecompress::None);
            let status = unfolded.map_err(|_| self.broken("its data cannot be read"))?;
            let taken = self.inflate.total_in() - before_in;
            self.taken += taken;
            input = &input[taken as usize..];
            let out = (self.inflate.total_out() - before_out) as usize;
            let block = &self.block[..out];
            if self.coding == Coding::Gzip {
                self.crc.update(block);
            }
            self.given += out as u64;
            if self.given > SUSPECT_BYTES && self.given / SUSPECT_RATIO > self.taken {
                return Err(Failure::new(
                    FailureKind::Malformed,
                    format!(
                        "the answer's {} coding unfolds to more than 64 MiB and {SUSPECT_RATIO} times its size",
                        self.coding.name()
                    ),
                ));
            }
            if out > 0 {
                emit(block)?;
            }
            if status == Status::StreamEnd {
                self.state = match self.coding {
                    Coding::Gzip => State::Trailer { at: 0, bytes: [0; 8] },
                    Coding::Deflate => State::Done,
                };
                return Ok(input);
            }
            // A block that was filled may not have been the last.
            if out < BLOCK {
                if !input.is_empty() && taken == 0 && out == 0 {
                    return Err(self.broken("its data cannot be read"));
                }
                if input.is_empty() {
                    return Ok(input);
                }
            }
        }
    }

    /// Takes one byte of what surrounds the data.
    fn frame(&mut self, byte: u8) -> Result<State, Failure> {
        Ok(match self.state {
            State::Header { at, flags } => match (at, byte) {
                (0, 0x1f) | (1, 0x8b) | (2, 8) | (4..=8, _) => State::Header { at: at + 1, flags },
                (3, flags) if flags & 0xe0 == 0 => State::Header { at: 4, flags },
                (9, _) => Self::after_header(flags),
                _ => return Err(self.broken("it does not begin as such")),
            },
            State::ExtraLength { at: 0, flags, .. } => State::ExtraLength { at: 1, length: u16::from(byte), flags },
            State::ExtraLength { length, flags, .. } => match length | u16::from(byte) << 8 {
                0 => Self::after_header(flags),
                left => State::Extra { left, flags },
            },
            State::Extra { left: 1, flags } => Self::after_header(flags),
            State::Extra { left, flags } => State::Extra { left: left - 1, flags },
            State::Words { flags } if byte == 0 => Self::after_header(flags),
            State::HeaderSum { left: 1 } => State::Data,
            State::HeaderSum { left } => State::HeaderSum { left: left - 1 },
            State::Trailer { at, mut bytes } => {
                bytes[usize::from(at)] = byte;
                if at < 7 {
                    return Ok(State::Trailer { at: at + 1, bytes });
                }
                let [a, b, c, d, e, f, g, h] = bytes;
                let (sum, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
                if (sum, length) != (self.crc.sum(), self.crc.amount()) {
                    return Err(self.broken("its checksum is wrong"));
                }
                State::Done
            }
            State::Done if self.coding == Coding::Gzip && byte == 0x1f => {
                self.inflate.reset(false);
                self.crc.reset();
                State::Header { at: 1, flags: 0 }
            }
            state @ (State::Words { .. } | State::Frame | State::Data | State::Done) => state,
        })
    }

    /// What follows in a gzip header whose `flags` announce it still.
    fn after_header(flags: u8) -> State {
        if flags & EXTRA != 0 {
            State::ExtraLength { at: 0, length: 0, flags: flags & !EXTRA }
        } else if flags & NAME != 0 {
            State::Words { flags: flags & !NAME }
        } else if flags & COMMENT != 0 {
            State::Words { flags: flags & !COMMENT }
        } else if flags & HEADER_SUM != 0 {
            State::HeaderSum { left: 2 }
        } else {
            State::Data
        }
    }

    fn broken(&self, what: &str) -> Failure {
        let name = self.coding.name();
        Failure::new(FailureKind::Malformed, format!("the answer is said to be in {name} coding, and {what}"))
    }
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{
        Compression, GzBuilder,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// With everything that a header may have.
    fn adorned(data: &[u8]) -> Vec<u8> {
        let builder = GzBuilder::new().filename("a").comment("b").extra(vec![1; 300]);
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(name: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, Failure> {
        let mut decoder = Decoder::of(name).unwrap();
        let mut out = Vec::new();
        for piece in pieces {
            decoder.feed(piece, &mut |block| {
                out.extend_from_slice(block);
                Ok(())
            })?;
        }
        decoder.finish().map(|()| out)
    }

    #[test]
    fn what_is_flushed_can_be_read_before_the_rest_comes() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut decoder = Decoder::of("x-gzip").unwrap();
        for event in ["data: a\n\n", "data: b\n\n"] {
            let before = encoder.get_ref().len();
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let mut out = Vec::new();
            let piece = &encoder.get_ref()[before..];
            decoder
                .feed(piece, &mut |block| {
                    out.extend_from_slice(block);
                    Ok(())
                })
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&out), event);
        }
        assert_eq!(decoder.finish().unwrap_err().kind, FailureKind::Truncated);
    }

    #[test]
    fn several_members_are_one_body_and_padding_is_none_of_it() {
        let wire = [gzip(b"ab"), adorned(b"cd"), vec![0; 9]].concat();
        assert_eq!(decode("gzip", &[&wire]).unwrap(), b"abcd");
        assert_eq!(decode("gzip", &[]).unwrap(), b"");
    }

    #[test]
    fn a_bomb_is_given_up_long_before_its_end() {
        let bomb = gzip(&vec![0; 200 << 20]);
        let mut seen = 0;
        let mut decoder = Decoder::of("gzip").unwrap();
        let ended = decoder.feed(&bomb, &mut |block| {
            seen += block.len() as u64;
            Ok(())
        });
        let failure = ended.unwrap_err();
        assert!(failure.message.contains("unfolds to more than 64 MiB"), "{failure}");
        assert!(seen <= SUSPECT_BYTES + BLOCK as u64, "{seen}");
    }

    #[test]
    fn damage_is_noticed() {
        let whole = gzip(&b"all of the answer ".repeat(50));
        let mut sum = whole.clone();
        let at = sum.len() - 8;
        sum[at] ^= 1;
        assert!(decode("gzip", &[&sum]).unwrap_err().message.contains("checksum"));
        assert!(decode("gzip", &[b"{\"plain\":1}"]).unwrap_err().message.contains("does not begin"));
        assert!(decode("deflate", &[&[0xff; 20]]).is_err());
        assert_eq!(decode("gzip", &[&whole[..30]]).unwrap_err().kind, FailureKind::Truncated);
        assert!(Decoder::of("br").is_none());
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back_wherever_it_is_cut(
            data in prop::collection::vec(prop::sample::select(b"data: {}\n\0\xff".to_vec()), 0..70_000),
            cuts in prop::collection::vec(0_usize..9_000, 0..20),
        ) {
            for (name, wire) in
                [("gzip", gzip(&data)), ("gzip", adorned(&data)), ("deflate", zlib(&data)), ("Deflate", bare(&data))]
            {
                let mut cuts: Vec<usize> = cuts.iter().map(|at| (*at).min(wire.len())).chain([0, wire.len()]).collect();
                cuts.sort_unstable();
                let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &wire[w[0]..w[1]]).collect();
                prop_assert_eq!(&decode(name, &pieces).unwrap(), &data);
            }
        }

        #[test]
        fn random_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in 0_usize..80,
        ) {
            let _ = decode("gzip", &[&bytes]);
            let _ = decode("deflate", &[&bytes]);
            let mut wire = gzip(b"some text that is some text");
            wire.truncate(at);
            let _ = decode("gzip", &[&wire, &bytes]);
        }
    }
}
