//! Pictures, sounds and films as a file names them: by URL, as a data URI that holds them, or as a file on this machine.
//!
//! Files on this machine are read and put into data URIs; nothing is fetched or decoded.

use super::shortened;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use inferometer_plugin_sdk::types::PartKind;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A kind of content, and the two keys it goes by.
pub(super) struct Medium {
    pub(super) kind: PartKind,
    /// The key of a single one.
    pub(super) one: &'static str,
    /// The key of a list.
    pub(super) many: &'static str,
}

/// All kinds of content, in the order in which they are put into a message.
pub(super) const MEDIA: [Medium; 4] = [
    Medium { kind: PartKind::TEXT, one: "text", many: "texts" },
    Medium { kind: PartKind::IMAGE, one: "image", many: "images" },
    Medium { kind: PartKind::AUDIO, one: "audio", many: "audios" },
    Medium { kind: PartKind::VIDEO, one: "video", many: "videos" },
];

/// The largest file that is put into a request.
const LARGEST_FILE: u64 = 128 << 20;

/// Splits `content` into its media type or format (empty if not known) and its data. Local files are looked for in `folder`,
/// then in the working directory.
///
/// Sound that is given as data comes apart into format and base64, and may also be written `wav,<base64>`; all else is
/// kept whole.
///
/// # Errors
/// Says what is accepted, when this is not.
pub(super) fn read(medium: &Medium, content: &str, folder: &Path) -> Result<(String, String), String> {
    if content.is_empty() {
        return Err("is empty; leave it out, or say something".to_owned());
    }
    if medium.kind == PartKind::TEXT {
        return Ok((String::new(), content.to_owned()));
    }
    let refused = match linked(medium, content) {
        Ok(found) => return Ok(found),
        Err(refused) => refused,
    };
    // A path this long is a text or data in the wrong place.
    let is_path = content.len() < 4_096 && !content.starts_with("data:") && !content.contains("://");
    let file = [folder.join(content), PathBuf::from(content)].into_iter().find(|path| is_path && path.is_file());
    file.map_or(Err(refused), |file| local(medium, &file))
}

/// As [`read`], for content that is no local file.
///
/// # Errors
/// Says what is accepted, when this is not.
pub(super) fn linked(medium: &Medium, content: &str) -> Result<(String, String), String> {
    let data = match medium.kind {
        _ if is_url(content) => Some(("", content)),
        PartKind::AUDIO => audio(content),
        _ => picture(medium, content),
    };
    data.map(|(mime, data)| (mime.to_owned(), data.to_owned())).ok_or_else(|| {
        let (start, name) = (shortened(content), medium.one);
        format!(
            "`{start}` is none of what is accepted: http:// and https:// URLs, data URIs (data:{name}/…;base64,…), \
             and local files where the data set reads them; there is no such file beside it or in the working directory"
        )
    })
}

/// A file on this machine; what it holds is known by its ending.
fn local(medium: &Medium, path: &Path) -> Result<(String, String), String> {
    let shown = path.display();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let known = endings(medium.kind);
    let Some((_, format)) = known.iter().find(|(known, _)| *known == ending) else {
        let endings: Vec<&str> = known.iter().map(|(ending, _)| *ending).collect();
        return Err(format!(
            "`{shown}` does not tell by its ending what it holds; the endings are {}",
            endings.join(", ")
        ));
    };
    let unreadable = |e: std::io::Error| format!("`{shown}` cannot be read: {e}");
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length == 0 || length > LARGEST_FILE {
        return Err(format!("`{shown}` holds {length} bytes; give 1 to {} MiB", LARGEST_FILE >> 20));
    }
    let data = STANDARD.encode(fs::read(path).map_err(unreadable)?);
    if medium.kind == PartKind::AUDIO {
        return Ok(((*format).to_owned(), data));
    }
    let mime = format!("{}/{format}", medium.one);
    let data = format!("data:{mime};base64,{data}");
    Ok((mime, data))
}

/// Endings of files, and the formats they stand for.
fn endings(kind: PartKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        PartKind::IMAGE => &[
            ("bmp", "bmp"),
            ("gif", "gif"),
            ("jpeg", "jpeg"),
            ("jpg", "jpeg"),
            ("png", "png"),
            ("tif", "tiff"),
            ("tiff", "tiff"),
            ("webp", "webp"),
        ],
        PartKind::AUDIO => {
            &[("flac", "flac"), ("m4a", "m4a"), ("mp3", "mp3"), ("ogg", "ogg"), ("opus", "opus"), ("wav", "wav")]
        }
        _ => &[("avi", "x-msvideo"), ("mkv", "x-matroska"), ("mov", "quicktime"), ("mp4", "mp4"), ("webm", "webm")],
    }
}

fn is_url(content: &str) -> bool {
    let host = content
        .split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"));
    host.is_some_and(|(_, rest)| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// A data URI of an image or a video.
fn picture<'a>(medium: &Medium, content: &'a str) -> Option<(&'a str, &'a str)> {
    let (media_type, base64, data) = data_uri(content)?;
    let right = media_type.split_once('/').is_some_and(|(family, rest)| family == medium.one && !rest.is_empty());
    let whole = if base64 { is_base64(data) } else { !data.is_empty() };
    (right && whole).then_some((media_type, content))
}

/// `data:audio/wav;base64,<data>` or `wav,<data>`.
fn audio(content: &str) -> Option<(&str, &str)> {
    let (format, data) = match data_uri(content) {
        Some((media_type, true, data)) => (media_type.strip_prefix("audio/")?, data),
        Some(_) => return None,
        None => content.split_once(',').filter(|(format, _)| matches!(*format, "wav" | "mp3"))?,
    };
    let format = match format.strip_prefix("x-").unwrap_or(format) {
        "mpeg" => "mp3",
        "wave" => "wav",
        other => other,
    };
    (!format.is_empty() && is_base64(data)).then_some((format, data))
}

/// Media type, whether the data is base64, and the data (RFC 2397).
fn data_uri(content: &str) -> Option<(&str, bool, &str)> {
    let (head, data) = content.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.split(';').next().unwrap_or_default();
    Some((media_type, head.ends_with(";base64"), data))
}

/// Whether `data` is some whole base64, of the standard alphabet, padded (RFC 4648).
fn is_base64(data: &str) -> bool {
    let digits = data.strip_suffix("==").or_else(|| data.strip_suffix('=')).unwrap_or(data);
    !digits.is_empty()
        && data.len().is_multiple_of(4)
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(medium: &Medium, content: &str) -> Result<(String, String), String> {
        read(medium, content, Path::new("no/such/folder"))
    }

    fn pair(mime: &str, data: &str) -> Result<(String, String), String> {
        Ok((mime.to_owned(), data.to_owned()))
    }

    #[test]
    fn urls_pass_as_they_are() {
        for medium in &MEDIA {
            for url in ["http://a/b.png", "https://host/x?y=z", "HTTPS://host/"] {
                assert_eq!(found(medium, url), pair("", url));
            }
        }
    }

    #[test]
    fn data_uris_of_pictures_stay_whole_and_tell_their_type() {
        let [_, image, _, video] = &MEDIA;
        let png = "data:image/png;base64,iVBORw0K";
        assert_eq!(found(image, png), pair("image/png", png));
        let svg = "data:image/svg+xml;charset=utf-8,%3Csvg%2F%3E";
        assert_eq!(found(image, svg), pair("image/svg+xml", svg));
        let film = "data:video/mp4;base64,AAAA";
        assert_eq!(found(video, film), pair("video/mp4", film));
    }

    #[test]
    fn sound_comes_apart_into_format_and_base64() {
        for (content, format) in [
            ("data:audio/wav;base64,UklGRg==", "wav"),
            ("data:audio/x-wav;base64,UklGRg==", "wav"),
            ("data:audio/mpeg;base64,UklGRg==", "mp3"),
            ("data:audio/flac;base64,UklGRg==", "flac"),
            ("wav,UklGRg==", "wav"),
        ] {
            assert_eq!(found(&MEDIA[2], content), pair(format, "UklGRg=="), "{content}");
        }
    }

    #[test]
    fn local_files_are_put_in_whole_wherever_their_path_begins() {
        let folder = tempfile::tempdir().unwrap();
        let [_, image, audio, video] = &MEDIA;
        for (medium, name, expected) in [
            (image, "cat.PNG", pair("image/png", "data:image/png;base64,AP8Q")),
            (image, "cat.jpg", pair("image/jpeg", "data:image/jpeg;base64,AP8Q")),
            (audio, "sound,of.wav", pair("wav", "AP8Q")),
            (video, "film.mov", pair("video/quicktime", "data:video/quicktime;base64,AP8Q")),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, [0x00, 0xff, 0x10]).unwrap();
            assert_eq!(read(medium, name, folder.path()), expected, "beside the data set");
            assert_eq!(found(medium, path.to_str().unwrap()), expected, "by its whole path");
        }
    }

    #[test]
    fn local_files_that_are_empty_or_of_no_known_kind_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, named) in [("cat.txt", "bmp, gif, jpeg"), ("empty.png", "holds 0 bytes")] {
            fs::write(folder.path().join(name), "").unwrap();
            let reason = read(&MEDIA[1], name, folder.path()).unwrap_err();
            assert!(reason.contains(name) && reason.contains(named), "{reason}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        let [_, image, audio, video] = &MEDIA;
        for (medium, content) in [
            (image, "pictures/cat.png"),
            (image, "/no/such/cat.png"),
            (image, "file:///tmp/cat.png"),
            (image, "http://"),
            (image, "http://a b/c.png"),
            (image, "data:video/mp4;base64,AAAA"),
            (image, "data:image/png;base64,"),
            (image, "data:image/png;base64,AAA"),
            (image, "data:image/png;base64,AA A"),
            (image, "data:image/png"),
            (audio, "sound,of.wav"),
            (audio, "data:audio/wav,abc"),
            (audio, "wav,not base64"),
            (video, "film.mp4"),
        ] {
            let reason = found(medium, content).unwrap_err();
            assert!(reason.contains("data URIs") && reason.contains("local files"), "{content}: {reason}");
        }
    }
}
