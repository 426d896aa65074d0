//! Pictures, sounds and films as a file names them: by URL, or as a data URI that holds them.
//!
//! Nothing is fetched or decoded here.

use inferometer_plugin_sdk::types::PartKind;

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

/// Splits `content` into its media type or format (empty if not known) and its data.
///
/// Sound that is given as data comes apart into format and base64, and may also be written `wav,<base64>`; all else is
/// kept whole.
///
/// # Errors
/// Says what is accepted, when this is not.
pub(super) fn read<'a>(medium: &Medium, content: &'a str) -> Result<(&'a str, &'a str), String> {
    if content.is_empty() {
        return Err("is empty; leave it out, or say something".to_owned());
    }
    if medium.kind == PartKind::TEXT || is_url(content) {
        return Ok(("", content));
    }
    let data = if medium.kind == PartKind::AUDIO { audio(content) } else { picture(medium, content) };
    data.ok_or_else(|| {
        let (start, name) = (super::row::shortened(content), medium.one);
        format!(
            "`{start}` is none of what is accepted: http:// and https:// URLs, and data URIs \
             (data:{name}/…;base64,…); a local file must be put into a data URI"
        )
    })
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

    #[test]
    fn urls_pass_as_they_are() {
        for medium in &MEDIA {
            for url in ["http://a/b.png", "https://host/x?y=z", "HTTPS://host/"] {
                assert_eq!(read(medium, url), Ok(("", url)));
            }
        }
    }

    #[test]
    fn data_uris_of_pictures_stay_whole_and_tell_their_type() {
        let [_, image, _, video] = &MEDIA;
        let png = "data:image/png;base64,iVBORw0K";
        assert_eq!(read(image, png), Ok(("image/png", png)));
        let svg = "data:image/svg+xml;charset=utf-8,%3Csvg%2F%3E";
        assert_eq!(read(image, svg), Ok(("image/svg+xml", svg)));
        let film = "data:video/mp4;base64,AAAA";
        assert_eq!(read(video, film), Ok(("video/mp4", film)));
    }

    #[test]
    fn sound_comes_apart_into_format_and_base64() {
        let audio = &MEDIA[2];
        for (content, format) in [
            ("data:audio/wav;base64,UklGRg==", "wav"),
            ("data:audio/x-wav;base64,UklGRg==", "wav"),
            ("data:audio/mpeg;base64,UklGRg==", "mp3"),
            ("data:audio/flac;base64,UklGRg==", "flac"),
            ("wav,UklGRg==", "wav"),
        ] {
            assert_eq!(read(audio, content), Ok((format, "UklGRg==")), "{content}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        let [_, image, audio, video] = &MEDIA;
        for (medium, content) in [
            (image, "pictures/cat.png"),
            (image, "/tmp/cat.png"),
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
            let reason = read(medium, content).unwrap_err();
            assert!(reason.contains("data URIs") && reason.contains("local file"), "{content}: {reason}");
        }
    }
}
