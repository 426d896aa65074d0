//! Pictures of the user's own, read once and resized as often as it takes.

use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image, images::ImageRef};
use inferometer_plugin_sdk::{
    random::SplitMix64,
    types::{Error, Result},
};
use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{colorspace::ColorSpace, options::DecoderOptions},
};

/// Most bytes of all pictures together, decoded: they are kept.
const MOST_BYTES: usize = 1 << 30;
/// Most pixels along a side.
const MOST_PIXELS: usize = 1 << 16;

/// Rows of pixels, three bytes each.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgb: Vec<u8>,
}

impl Picture {
    /// The same of another size; its sides' ratio is not kept.
    pub(super) fn resized(&self, width: u32, height: u32) -> Result<Self, String> {
        let source = ImageRef::new(self.width, self.height, &self.rgb, PixelType::U8x3).map_err(|e| e.to_string())?;
        let mut target = Image::new(width, height, PixelType::U8x3);
        // A filter of the four basic operations alone: others take functions that differ from machine to machine.
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        Resizer::new().resize(&source, &mut target, &options).map_err(|e| e.to_string())?;
        Ok(Self { width, height, rgb: target.into_vec() })
    }
}

/// The pictures of a folder, in the order of their names.
#[derive(Debug)]
pub(super) struct Pictures(Vec<Picture>);

impl Pictures {
    /// Reads all PNG and JPEG files of `folder`; others, and folders in it, are passed over.
    ///
    /// # Errors
    /// Names the folder or the file that cannot be read.
    pub(super) fn read(folder: &str) -> Result<Self> {
        let mut files = listed(folder)
            .map_err(|e| Error::config(format!("--image-source {folder}: the folder cannot be read: {e}")))?;
        files.sort();
        let mut pictures = Vec::with_capacity(files.len());
        let mut left = MOST_BYTES;
        for file in files {
            let read = fs::read(&file).map_err(|e| e.to_string()).and_then(|bytes| decode(&bytes, left));
            let picture = read.map_err(|reason| {
                Error::config(format!("--image-source: {} cannot be used: {reason}", file.display()))
            })?;
            left -= picture.rgb.len();
            pictures.push(picture);
        }
        if pictures.is_empty() {
            return Err(Error::config(format!(
                "--image-source {folder}: no pictures in this folder; put files into it that end in .png, .jpg or .jpeg, or \
                 leave the option out for images of noise"
            )));
        }
        Ok(Self(pictures))
    }

    /// One of them.
    pub(super) fn drawn(&self, random: &mut SplitMix64) -> &Picture {
        &self.0[random.below(self.0.len() as u64) as usize]
    }
}

fn listed(folder: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_picture(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["png", "jpg", "jpeg"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// A picture of at most `most` bytes from a file, by what the file begins with.
fn decode(file: &[u8], most: usize) -> Result<Picture, String> {
    if file.starts_with(b"\x89PNG") { png(file, most) } else { jpeg(file, most) }
}

fn room(width: usize, height: usize, most: usize) -> Result<(), String> {
    let fits = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3)).is_some_and(|bytes| bytes <= most);
    fits.then_some(()).ok_or_else(|| {
        format!("{width} × {height} pixels are too many: all pictures are kept in memory; give fewer or smaller ones")
    })
}

fn png(file: &[u8], most: usize) -> Result<Picture, String> {
    let text = |error: png::DecodingError| error.to_string();
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(text)?;
    let (width, height) = (reader.info().width, reader.info().height);
    room(width as usize, height as usize, most)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
    let frame = reader.next_frame(&mut pixels).map_err(text)?;
    pixels.truncate(frame.buffer_size());
    // Transparency is left out, and grey is three equal colours.
    let rgb = match frame.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        png::ColorType::Grayscale => pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
        png::ColorType::Indexed => return Err("its palette cannot be read".to_owned()),
    };
    Ok(Picture { width, height, rgb })
}

fn jpeg(file: &[u8], most: usize) -> Result<Picture, String> {
    let options = DecoderOptions::new_safe()
        .set_max_width(MOST_PIXELS)
        .set_max_height(MOST_PIXELS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(file), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let info = decoder.info().ok_or("it has no header")?;
    room(info.width.into(), info.height.into(), most)?;
    let rgb = decoder.decode().map_err(|e| e.to_string())?;
    Ok(Picture { width: info.width.into(), height: info.height.into(), rgb })
}
