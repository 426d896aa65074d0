//! Images and audio as a decoder finds them.

use super::*;
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{fs, io::Cursor};

fn images(format: &str) -> ImageRequest {
    ImageRequest { batch: 2, width: length(40.0, 10.0), height: length(30.0, 5.0), format: format.into(), source: None }
}

fn audio() -> AudioRequest {
    AudioRequest {
        batch: 1,
        seconds: length(0.5, 0.0),
        format: "wav".into(),
        sample_rates: vec![16_000],
        depths: vec![16],
        channels: 1,
    }
}

fn with_images(images: ImageRequest) -> Synthetic {
    opened(&DatasetRequest { images: Some(images), turns: Some(length(2.0, 0.0)), ..request() })
}

fn with_audio(audio: AudioRequest) -> Synthetic {
    opened(&DatasetRequest { audio: Some(audio), ..request() })
}

/// Media type or format, and data, of the parts of `kind` of some sessions' turns.
fn data(loader: &Synthetic, kind: PartKind) -> Vec<(String, String)> {
    let turns = (0..20).flat_map(|index| session(loader, index).turns);
    let parts = turns.flat_map(|turn| turn.parts).filter(|part| part.kind == kind);
    parts.map(|part| (part.mime, part.data)).collect()
}

/// Width, height and pixels of a data URI.
fn decoded((media_type, uri): &(String, String)) -> (usize, usize, Vec<u8>) {
    let base64 = uri.strip_prefix(&format!("data:{media_type};base64,")).unwrap();
    let file = Cursor::new(BASE64_STANDARD.decode(base64).unwrap());
    if media_type == "image/png" {
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(frame.color_type, png::ColorType::Rgb);
        (frame.width as usize, frame.height as usize, pixels)
    } else {
        assert_eq!(media_type, "image/jpeg");
        let mut decoder = zune_jpeg::JpegDecoder::new(file);
        let pixels = decoder.decode().unwrap();
        let (width, height) = decoder.info().map(|info| (info.width, info.height)).unwrap();
        (width.into(), height.into(), pixels)
    }
}

/// A WAV file, field by field.
#[derive(Debug, PartialEq)]
struct Wav {
    channels: u16,
    rate: u32,
    bytes_a_second: u32,
    frame: u16,
    depth: u16,
    samples: Vec<u8>,
}

fn wav((format, data): &(String, String)) -> Wav {
    assert_eq!(format, "wav");
    let file = BASE64_STANDARD.decode(data).unwrap();
    let long = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let short = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap());
    assert_eq!((&file[..4], &file[8..16], &file[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
    assert_eq!((long(16), short(20)), (16, 1), "plain samples");
    assert_eq!(long(4) as usize + 8, file.len());
    assert!(file.len().is_multiple_of(2));
    let samples = file[44..44 + long(40) as usize].to_vec();
    assert!(file.len() - 44 - samples.len() < 2);
    Wav { channels: short(22), rate: long(24), bytes_a_second: long(28), frame: short(32), depth: short(34), samples }
}

#[test]
fn images_follow_the_text_and_have_sizes_around_those_asked_for() {
    for format in ["png", "jpeg"] {
        let loader = with_images(images(format));
        let kinds: Vec<_> = session(&loader, 0).turns[1].parts.iter().map(|part| part.kind).collect();
        assert_eq!(kinds, [PartKind::TEXT, PartKind::IMAGE, PartKind::IMAGE]);
        let images = data(&loader, PartKind::IMAGE);
        assert_eq!(images.len(), 80);
        assert!(images.iter().all(|(media_type, _)| *media_type == format!("image/{format}")));
        let (widths, heights): (Vec<_>, Vec<_>) = images
            .iter()
            .map(|image| {
                let (width, height, pixels) = decoded(image);
                assert_eq!(pixels.len(), width * height * 3);
                (width as f64, height as f64)
            })
            .unzip();
        let ((width, wider), (height, higher)) = (moments(&widths), moments(&heights));
        assert!((width - 40.0).abs() < 4.0 && (wider - 10.0).abs() < 3.0, "{width} {wider}");
        assert!((height - 30.0).abs() < 2.0 && (higher - 5.0).abs() < 1.5, "{height} {higher}");
    }
}

#[test]
fn random_means_some_of_either_format() {
    let images = data(&with_images(images("random")), PartKind::IMAGE);
    let jpegs = images.iter().filter(|image| image.0 == "image/jpeg").count();
    assert!((20..60).contains(&jpegs), "{jpegs} of 80");
    images.iter().for_each(|image| assert!(decoded(image).0 >= 1));
}

#[test]
fn noise_is_of_all_colours_and_never_the_same_twice() {
    let mut images = data(&with_images(images("png")), PartKind::IMAGE);
    let pixels: Vec<f64> = images.iter().flat_map(|image| decoded(image).2).map(f64::from).collect();
    let (mean, deviation) = moments(&pixels);
    assert!((mean - 127.5).abs() < 1.0 && (deviation - 73.9).abs() < 1.0, "{mean} {deviation}");
    images.sort();
    images.dedup();
    assert_eq!(images.len(), 80);
}

#[test]
fn media_of_a_seed_are_the_same_for_ever() {
    let texts = |loader: &Synthetic, kind| hash(data(loader, kind).into_iter().map(|(_, data)| data));
    assert_eq!(texts(&with_images(images("png")), PartKind::IMAGE), 12_543_505_141_556_728, "png");
    assert_eq!(texts(&with_images(images("jpeg")), PartKind::IMAGE), 932_730_183_543_225_880, "jpeg");
    let many = AudioRequest { depths: vec![8, 16, 24, 32], channels: 2, seconds: length(0.1, 0.05), ..audio() };
    assert_eq!(texts(&with_audio(many), PartKind::AUDIO), 8_523_035_384_692_874_632, "wav");
}

#[test]
fn images_and_audio_leave_the_prompts_as_they_were() {
    let both = DatasetRequest { images: Some(images("png")), audio: Some(audio()), ..request() };
    assert_eq!(prompts(&opened(&both)), prompts(&opened(&request())));
    let kinds: Vec<_> = session(&opened(&both), 0).turns[0].parts.iter().map(|part| part.kind).collect();
    assert_eq!(kinds, [PartKind::TEXT, PartKind::IMAGE, PartKind::IMAGE, PartKind::AUDIO]);
}

/// Writes a picture of one colour.
fn picture(path: &std::path::Path, color: png::ColorType, pixel: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 6, 4);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(&pixel.repeat(24)).unwrap();
}

#[test]
fn pictures_of_a_folder_are_resized() {
    let folder = tempfile::tempdir().unwrap();
    picture(&folder.path().join("red.png"), png::ColorType::Rgba, &[255, 0, 0, 128]);
    picture(&folder.path().join("grey.PNG"), png::ColorType::Grayscale, &[99]);
    picture(&folder.path().join("white.png"), png::ColorType::GrayscaleAlpha, &[255, 255]);
    let jpeg = jpeg_encoder::Encoder::new_file(folder.path().join("green.jpg"), 100).unwrap();
    jpeg.encode(&[0, 200, 0].repeat(64), 8, 8, jpeg_encoder::ColorType::Rgb).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();

    let source = Some(folder.path().to_str().unwrap().to_owned());
    let images = data(&with_images(ImageRequest { source, ..images("png") }), PartKind::IMAGE);
    let mut colours = std::collections::BTreeSet::new();
    for image in &images {
        let (width, height, pixels) = decoded(image);
        assert_eq!(pixels.len(), width * height * 3);
        assert!(pixels.chunks(3).all(|pixel| pixel == &pixels[..3]), "one colour stays one");
        colours.insert(pixels[..3].to_vec());
    }
    assert!(colours.contains(&vec![255, 0, 0]) && colours.contains(&vec![99; 3]) && colours.contains(&vec![255; 3]));
    assert_eq!(colours.len(), 4, "{colours:?}");
    let green = colours.iter().find(|colour| colour[0] < 50).expect("the JPEG is there");
    assert!(green[1].abs_diff(200) < 5 && green[2] < 5, "{green:?}");
}

#[test]
fn a_folder_without_pictures_or_with_broken_ones_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let refusal = |source: String| {
        let images = Some(ImageRequest { source: Some(source), ..images("png") });
        Synthetic::default().open(&DatasetRequest { images, ..request() }, &Words).unwrap_err().message.to_string()
    };
    assert!(refusal(path.clone()).contains("no pictures in this folder"));
    let absent = refusal(format!("{path}/absent"));
    assert!(absent.contains("--image-source") && absent.contains("absent"), "{absent}");
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"] {
        fs::write(folder.path().join("broken.jpg"), bytes).unwrap();
        let reason = refusal(path.clone());
        assert!(reason.contains("broken.jpg cannot be used"), "{reason}");
    }
}

#[test]
fn a_clip_has_the_length_rate_depth_and_channels_asked_for() {
    for (rate, depth, channels, seconds, bytes) in [
        (16_000, 16, 1, 0.5, 16_000),
        (44_100, 24, 2, 0.1, 26_460),
        (8_000, 8, 1, 0.010, 80),
        (22_050, 8, 1, 0.1, 2_205),
        (48_000, 32, 2, 1.0, 384_000),
    ] {
        let asked = AudioRequest {
            seconds: length(seconds, 0.0),
            sample_rates: vec![rate],
            depths: vec![depth],
            channels,
            ..audio()
        };
        let clip = wav(&data(&with_audio(asked), PartKind::AUDIO)[0]);
        let frame = channels * depth / 8;
        assert_eq!(clip.samples.len(), bytes);
        assert_eq!((u32::from(clip.channels), clip.rate, u32::from(clip.depth)), (channels, rate, depth));
        assert_eq!((u32::from(clip.frame), clip.bytes_a_second), (frame, rate * frame));
    }
}

#[test]
fn clips_are_noise_around_silence_at_every_depth() {
    for depth in [8, 16, 24, 32] {
        let clips = data(&with_audio(AudioRequest { depths: vec![depth], ..audio() }), PartKind::AUDIO);
        let samples: Vec<f64> = clips
            .iter()
            .flat_map(|clip| wav(clip).samples.chunks((depth / 8) as usize).map(level).collect::<Vec<_>>())
            .collect();
        let (mean, deviation) = moments(&samples);
        assert!(mean.abs() < 0.005 && (deviation - 0.25).abs() < 0.005, "{depth} bits: {mean} {deviation}");
        assert!(samples.iter().all(|sample| (-1.0..1.0).contains(sample)));
    }
}

/// A sample as a part of full scale.
fn level(sample: &[u8]) -> f64 {
    match *sample {
        [byte] => (f64::from(byte) - 128.0) / 128.0,
        [a, b] => f64::from(i16::from_le_bytes([a, b])) / 32_768.0,
        [a, b, c] => f64::from(i32::from_le_bytes([0, a, b, c])) / 2_147_483_648.0,
        [a, b, c, d] => f64::from(i32::from_le_bytes([a, b, c, d])) / 2_147_483_648.0,
        _ => panic!("no sample has {} bytes", sample.len()),
    }
}

#[test]
fn rates_depths_and_lengths_are_drawn_for_each_clip() {
    let asked = AudioRequest {
        batch: 3,
        seconds: length(0.2, 0.05),
        sample_rates: vec![8_000, 16_000],
        depths: vec![8, 16, 24],
        ..audio()
    };
    let clips: Vec<_> = data(&with_audio(asked), PartKind::AUDIO).iter().map(wav).collect();
    assert_eq!(clips.len(), 60);
    for (rate, depth) in [8_000, 16_000].into_iter().flat_map(|rate| [8, 16, 24].map(|depth| (rate, depth))) {
        let found = clips.iter().filter(|clip| (clip.rate, clip.depth) == (rate, depth)).count();
        assert!((2..20).contains(&found), "{found} clips of {rate} Hz and {depth} bits");
    }
    let seconds: Vec<_> = clips.iter().map(|clip| clip.samples.len() as f64 / f64::from(clip.bytes_a_second)).collect();
    let (mean, deviation) = moments(&seconds);
    assert!((mean - 0.2).abs() < 0.03 && (deviation - 0.05).abs() < 0.02, "{mean} {deviation}");
}

#[test]
fn media_that_cannot_be_made_are_errors_that_name_the_option() {
    let image = |change: fn(&mut ImageRequest)| {
        let mut images = images("png");
        change(&mut images);
        DatasetRequest { images: Some(images), ..request() }
    };
    let clip = |change: fn(&mut AudioRequest)| {
        let mut audio = audio();
        change(&mut audio);
        DatasetRequest { audio: Some(audio), ..request() }
    };
    for (request, named) in [
        (image(|i| i.format = "gif".into()), "--image-format gif"),
        (image(|i| i.batch = 0), "--image-batch-size 0"),
        (image(|i| i.batch = 1 << 40), "--image-batch-size"),
        (image(|i| i.width.mean = 1e9), "--image-width-mean 1000000000.0"),
        (image(|i| i.width.mean = 0.0), "--image-width-mean 0.0"),
        (image(|i| i.height.mean = f64::NAN), "--image-height-mean NaN"),
        (image(|i| i.height.stddev = -1.0), "--image-height-stddev -1.0"),
        (
            image(|i| (i.width.mean, i.height.mean, i.batch) = (8_000.0, 8_000.0, 100)),
            "the 100 image(s) of one request would take",
        ),
        (clip(|a| a.format = "mp3".into()), "use --audio-format wav"),
        (clip(|a| a.format = "ogg".into()), "--audio-format ogg"),
        (clip(|a| a.batch = 0), "--audio-batch-size 0"),
        (clip(|a| a.seconds.mean = 0.0), "--audio-length-mean 0.0"),
        (clip(|a| a.seconds.mean = 1e9), "--audio-length-mean 1000000000.0"),
        (clip(|a| a.seconds.stddev = f64::INFINITY), "--audio-length-stddev inf"),
        (clip(|a| a.sample_rates = vec![]), "--audio-sample-rates: nothing"),
        (clip(|a| a.sample_rates = vec![16_000, 16]), "--audio-sample-rates 16:"),
        (clip(|a| a.depths = vec![12]), "--audio-depths 12"),
        (clip(|a| a.channels = 6), "--audio-num-channels 6"),
        (clip(|a| (a.batch, a.seconds.mean) = (100, 3_600.0)), "the 100 clip(s) of one request would take"),
    ] {
        let error = Synthetic::default().open(&request, &Words).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CONFIG);
        assert!(error.message.contains(named), "{error}, and not {named}");
    }
}
