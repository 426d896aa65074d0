//! Made-up images: noise or pictures of a folder, as data URIs of PNG or JPEG files.
//!
//! Noise cannot be compressed, so a PNG of it is written without trying.

use super::{
    MOST_BYTES, parts,
    pictures::{Picture, Pictures},
};
use crate::{
    lengths::{Lengths, Scale},
    random::{Place, Purpose, Seeds},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use inferometer_plugin_sdk::{
    documents::ImageRequest,
    random::SplitMix64,
    types::{Error, ErrorKind, Result},
};

/// Most pixels along a side.
const MOST_PIXELS: f64 = 8_192.0;
const WIDTH: Scale = Scale::whole("--image-width-mean", "pixels", 1.0, MOST_PIXELS);
const HEIGHT: Scale = Scale::whole("--image-height-mean", "pixels", 1.0, MOST_PIXELS);
/// What most programs write unless told otherwise.
const JPEG_QUALITY: u8 = 75;

/// The images of a pool.
#[derive(Debug)]
pub(super) struct Images {
    batch: u32,
    width: Lengths,
    height: Lengths,
    /// None: drawn for each image.
    format: Option<Format>,
    /// None: noise.
    pictures: Option<Pictures>,
    choice: Seeds,
    noise: Seeds,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Png,
    Jpeg,
}

impl Images {
    /// # Errors
    /// Names the option whose value no image can have, or the file that is no picture.
    pub(super) fn new(asked: &ImageRequest, seed: u64) -> Result<Self> {
        let format = match asked.format.as_str() {
            "png" => Some(Format::Png),
            "jpeg" => Some(Format::Jpeg),
            "random" => None,
            other => return Err(Error::config(format!("--image-format {other}: it is png, jpeg or random"))),
        };
        let batch = parts("--image-batch-size", asked.batch)?;
        let width = Lengths::scaled(WIDTH, asked.width, seed, Purpose::Width)?;
        let height = Lengths::scaled(HEIGHT, asked.height, seed, Purpose::Height)?;
        let pixels = (asked.width.mean + asked.width.stddev) * (asked.height.mean + asked.height.stddev);
        let bytes = pixels * 3.0 * f64::from(batch);
        if bytes > MOST_BYTES {
            return Err(Error::config(format!(
                "--image-width-mean {:?} and --image-height-mean {:?}: the {batch} image(s) of one request would take \
                 {:.1} GiB, and 1 is the most; make them smaller or fewer",
                asked.width.mean,
                asked.height.mean,
                bytes / MOST_BYTES
            )));
        }
        Ok(Self {
            batch,
            width,
            height,
            format,
            pictures: asked.source.as_deref().map(Pictures::read).transpose()?,
            choice: Seeds::new(seed, Purpose::ImageChoice),
            noise: Seeds::new(seed, Purpose::ImageNoise),
        })
    }

    /// Media types and data URIs of the images of the turn at `place`.
    ///
    /// # Errors
    /// When an image cannot be encoded.
    pub(super) fn of_turn(&self, place: Place) -> Result<Vec<(&'static str, String)>> {
        (0..self.batch).map(|part| self.image(Place { part, ..place })).collect()
    }

    fn image(&self, place: Place) -> Result<(&'static str, String)> {
        let (width, height) = (self.width.at(place), self.height.at(place));
        let mut choice = SplitMix64::new(self.choice.at(place));
        let drawn = if choice.below(2) == 0 { Format::Png } else { Format::Jpeg };
        let picture = match &self.pictures {
            Some(pictures) => pictures.drawn(&mut choice).resized(width, height),
            None => Ok(noise(width, height, SplitMix64::new(self.noise.at(place)))),
        };
        let written = picture.and_then(|picture| match self.format.unwrap_or(drawn) {
            Format::Png => Ok(("image/png", png(&picture, self.pictures.is_some())?)),
            Format::Jpeg => Ok(("image/jpeg", jpeg(&picture)?)),
        });
        let (media_type, file) = written.map_err(|reason| {
            let Place { session, turn, .. } = place;
            let reason = format!("image of session {session}, turn {turn}, {width} × {height} pixels: {reason}");
            Error::new(ErrorKind::OTHER, reason)
        })?;
        let mut uri = format!("data:{media_type};base64,");
        BASE64_STANDARD.encode_string(file, &mut uri);
        Ok((media_type, uri))
    }
}

/// A picture each of whose bytes is drawn by itself.
fn noise(width: u32, height: u32, mut random: SplitMix64) -> Picture {
    let length = width as usize * height as usize * 3;
    let mut rgb = Vec::with_capacity(length.next_multiple_of(8));
    while rgb.len() < length {
        rgb.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    rgb.truncate(length);
    Picture { width, height, rgb }
}

fn png(picture: &Picture, compress: bool) -> Result<Vec<u8>, String> {
    let mut file = Vec::with_capacity(picture.rgb.len() + picture.rgb.len() / 64 + 1_024);
    let mut encoder = png::Encoder::new(&mut file, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    if compress {
        encoder.set_compression(png::Compression::Fast);
    } else {
        encoder.set_compression(png::Compression::NoCompression);
        encoder.set_filter(png::Filter::NoFilter);
    }
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(&picture.rgb).and_then(|()| writer.finish()).map_err(|e| e.to_string())?;
    Ok(file)
}

fn jpeg(picture: &Picture) -> Result<Vec<u8>, String> {
    let mut file = Vec::with_capacity(picture.rgb.len() / 3);
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, JPEG_QUALITY);
    // Half the resolution for colours, which is usual as well.
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    let side = |pixels| u16::try_from(pixels).map_err(|_| "it is too large for a JPEG".to_owned());
    encoder
        .encode(&picture.rgb, side(picture.width)?, side(picture.height)?, jpeg_encoder::ColorType::Rgb)
        .map_err(|e| e.to_string())?;
    Ok(file)
}
