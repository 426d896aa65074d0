//! Reads what a library declares, without running any of it.
//!
//! A damaged library must not reach the system's loader, which maps a file and trusts what it says of itself: the loader
//! would be killed by the first page that is not there. So everything that the headers point to has to lie in the file.

use crate::{error::Refusal, names};
use inferometer_abi::{
    INTERFACE_VERSION,
    documents::Kind,
    wire::{
        manifest::{SECTION, SECTION_MACHO},
        module::SYMBOL,
    },
};
use object::{
    Architecture, BinaryFormat, File, NameOrOrdinal, Object, ObjectKind, ObjectSection, ObjectSegment,
    read::{ReadCache, ReadRef},
};
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::Path};

/// The most bytes a manifest may have; the largest that makes sense has a few thousand.
const LONGEST: u64 = 1 << 20;

/// The most components that a library may declare.
const MOST: usize = 256;

/// A component as its library's manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) priority: i32,
    pub(crate) package: String,
    pub(crate) version: String,
    /// Version of the interface it was built for, major and minor.
    pub(crate) interface: String,
}

/// What every version of the manifest says in each line.
#[derive(Deserialize)]
struct Versioned {
    interface: String,
}

/// A line of the manifest, version 1.
#[derive(Deserialize)]
struct Line {
    kind: String,
    name: String,
    summary: String,
    priority: i32,
    panic: String,
    package: String,
    version: String,
}

/// What the library at `path` declares. Only the parts that matter are read.
pub(crate) fn of_file(path: &Path) -> Result<Vec<Declared>, Refusal> {
    let file = fs::File::open(path).map_err(Refusal::Unreadable)?;
    of_data(&ReadCache::new(file))
}

/// What the library that `data` holds declares.
pub(crate) fn of_data<'data>(data: impl ReadRef<'data>) -> Result<Vec<Declared>, Refusal> {
    let length = data.len().map_err(|()| Refusal::NoObject("its length is not known".to_owned()))?;
    if length == 0 {
        return Err(Refusal::NoObject("it is empty".to_owned()));
    }
    object::FileKind::parse(data).map_err(|e| Refusal::NoObject(e.to_string()))?;
    let file = File::parse(data).map_err(|e| Refusal::Damaged(e.to_string()))?;
    check_machine(&file)?;
    if file.kind() != ObjectKind::Dynamic {
        return Err(Refusal::NotShared);
    }
    check_bounds(&file, length)?;
    let section = match file.format() {
        BinaryFormat::MachO => SECTION_MACHO,
        _ => SECTION,
    };
    let section = file.section_by_name(section).ok_or(Refusal::NoManifest)?;
    if section.size() > LONGEST {
        return Err(Refusal::BadManifest(format!("it has {} bytes, more than {LONGEST}", section.size())));
    }
    let declared = parse(section.data().map_err(|e| Refusal::Damaged(e.to_string()))?)?;
    check_header(&file)?;
    Ok(declared)
}

fn check_machine<'data>(file: &File<'data, impl ReadRef<'data>>) -> Result<(), Refusal> {
    let format = if cfg!(target_vendor = "apple") { BinaryFormat::MachO } else { BinaryFormat::Elf };
    let host = (format, architecture(), cfg!(target_pointer_width = "64"), cfg!(target_endian = "little"));
    // A machine that is not in the table cannot be compared; the rest can.
    let found = (file.format(), host.1.map(|_| file.architecture()), file.is_64(), file.is_little_endian());
    if found == host {
        return Ok(());
    }
    let words = |(format, machine, wide, little): (BinaryFormat, Option<Architecture>, bool, bool)| {
        let machine = machine.map_or("another machine".to_owned(), |m| format!("{m:?}"));
        let (bits, order) = (if wide { 64 } else { 32 }, if little { "little" } else { "big" });
        format!("{machine} ({format:?}, {bits} bit, {order}-endian)")
    };
    Err(Refusal::WrongMachine {
        found: words((found.0, Some(file.architecture()), found.2, found.3)),
        host: words(host),
    })
}

/// What this program was built for.
fn architecture() -> Option<Architecture> {
    Some(match std::env::consts::ARCH {
        "x86_64" if cfg!(target_pointer_width = "32") => Architecture::X86_64_X32,
        "x86_64" => Architecture::X86_64,
        "x86" => Architecture::I386,
        "aarch64" => Architecture::Aarch64,
        "arm" => Architecture::Arm,
        "riscv64" => Architecture::Riscv64,
        "powerpc64" => Architecture::PowerPc64,
        "s390x" => Architecture::S390x,
        "loongarch64" => Architecture::LoongArch64,
        _ => return None,
    })
}

fn check_bounds<'data>(file: &File<'data, impl ReadRef<'data>>, length: u64) -> Result<(), Refusal> {
    let within = |what: &str, (offset, size): (u64, u64)| match offset.checked_add(size) {
        Some(end) if end <= length => Ok(()),
        _ => Err(Refusal::Damaged(format!("a {what} reaches beyond its end, {length} bytes"))),
    };
    file.segments().try_for_each(|segment| within("segment", segment.file_range()))?;
    file.sections().filter_map(|section| section.file_range()).try_for_each(|range| within("section", range))
}

/// The symbol that leads to the library's root has to be exported.
fn check_header<'data>(file: &File<'data, impl ReadRef<'data>>) -> Result<(), Refusal> {
    let symbol = SYMBOL.strip_suffix(b"\0").unwrap_or(SYMBOL);
    let exports = file.exports().map_err(|e| Refusal::Damaged(e.to_string()))?;
    for export in exports {
        let export = export.map_err(|e| Refusal::Damaged(e.to_string()))?;
        if let NameOrOrdinal::Name(name) = export.name()
            // Mach-O puts an underscore before every name.
            && name.strip_prefix(b"_").unwrap_or(name) == symbol
        {
            return Ok(());
        }
    }
    Err(Refusal::NoHeader)
}

/// Reads the lines of a manifest. Linkers pad with zeros between and behind them.
fn parse(section: &[u8]) -> Result<Vec<Declared>, Refusal> {
    let bad = |why: String| Refusal::BadManifest(why);
    let (mut declared, mut seen, mut unknown) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for line in section.split(|byte| matches!(byte, b'\n' | 0)).filter(|line| !line.is_empty()) {
        let Versioned { interface } = serde_json::from_slice(line).map_err(|e| bad(e.to_string()))?;
        if !is_version(&interface) {
            return Err(bad(format!("its interface '{}' is no version such as 1.0", interface.escape_debug())));
        }
        if major(&interface) != major(INTERFACE_VERSION) {
            let ours = format!("{}.x", major(INTERFACE_VERSION));
            return Err(Refusal::WrongInterface { theirs: interface, ours });
        }
        let line: Line = serde_json::from_slice(line).map_err(|e| bad(e.to_string()))?;
        if line.panic != "unwind" {
            return Err(Refusal::Aborts);
        }
        // A later minor version may know further kinds; they are of no use here and do no harm.
        let Some(kind) = kind(&line.kind) else {
            unknown.insert(line.kind);
            continue;
        };
        if !names::is_valid(&line.name) {
            return Err(bad(format!(
                "it names a component '{}', and a name has at most {} letters of a to z, digits, '-', '_' and '.'",
                line.name.escape_debug(),
                names::LONGEST
            )));
        }
        if !names::is_package(&line.package) {
            return Err(bad(format!(
                "it names a package '{}', which cargo does not allow",
                line.package.escape_debug()
            )));
        }
        if declared.len() == MOST {
            return Err(bad(format!("it declares more than {MOST} components")));
        }
        if !seen.insert((kind, names::normal(&line.name))) {
            return Err(bad(format!("it declares the {kind} '{}' twice", line.name)));
        }
        let Line { name, summary, priority, package, version, .. } = line;
        declared.push(Declared { kind, name, summary, priority, package, version, interface });
    }
    if declared.is_empty() {
        return Err(match unknown.is_empty() {
            true => Refusal::NoManifest,
            false => Refusal::UnknownKinds(unknown.into_iter().collect()),
        });
    }
    declared.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(declared)
}

/// Whether a text is a version of the interface: major and minor, in digits.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

fn major(version: &str) -> &str {
    version.split_once('.').map_or(version, |(major, _)| major)
}

/// The kind that `name` stands for, if this program knows it.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = r#"{"interface":"1.0","kind":"endpoint","name":"chat","summary":"Chats.","priority":-5,"panic":"unwind","package":"acme","version":"2.1.0"}"#;

    fn refusal(section: &str) -> String {
        parse(section.as_bytes()).expect_err("it is to be refused").to_string()
    }

    #[test]
    fn lines_are_read_whatever_padding_lies_between_them() {
        let timing = CHAT.replace("endpoint", "timing");
        let section = format!("\0\0{timing}\n\0\0\0\0{CHAT}\n\0");
        let declared = parse(section.as_bytes()).expect("both lines are good");
        assert_eq!(declared.len(), 2);
        let chat = Declared {
            kind: Kind::Endpoint,
            name: "chat".into(),
            summary: "Chats.".into(),
            priority: -5,
            package: "acme".into(),
            version: "2.1.0".into(),
            interface: "1.0".into(),
        };
        assert_eq!(declared[0], chat);
        assert_eq!(declared[1].kind, Kind::Timing);
    }

    #[test]
    fn a_later_minor_version_is_read_and_what_is_new_in_it_ignored() {
        let newer = CHAT.replace("1.0", "1.7").replace("\"panic\"", "\"colour\":\"red\",\"panic\"");
        let section = format!("{newer}\n{}\n", newer.replace("endpoint", "tokenizer"));
        assert_eq!(parse(section.as_bytes()).expect("it is of the same major version").len(), 1);
    }

    #[test]
    fn another_major_version_is_refused_whatever_its_lines_hold() {
        let text = refusal("{\"interface\":\"2.0\",\"all\":\"different\"}\n");
        assert!(text.contains("interface 2.0") && text.contains("1.x"), "{text}");
        assert!(refusal("{\"interface\":\"10.0\"}").contains("interface 10.0"));
    }

    #[test]
    fn a_library_that_aborts_on_panic_is_refused() {
        assert!(refusal(&CHAT.replace("unwind", "abort")).contains("panic = \"abort\""));
    }

    #[test]
    fn a_manifest_that_cannot_be_told_apart_is_refused() {
        assert!(refusal("not json").contains("cannot be read"));
        assert!(refusal("{\"interface\":\"1.0\"}").contains("missing field"));
        assert!(refusal(&CHAT.replace("chat", "a:b")).contains("'a:b'"));
        assert!(refusal(&format!("{CHAT}\n{}", CHAT.replace("chat", "Chat"))).contains("twice"));
        assert!(refusal("\0\0\n").contains("no inferometer components"));
    }

    #[test]
    fn a_manifest_of_kinds_that_are_not_known_says_which() {
        let text = refusal(&CHAT.replace("endpoint", "tokenizer"));
        assert!(text.contains("kinds that this program does not know: 'tokenizer'"), "{text}");
    }

    #[test]
    fn names_packages_interfaces_and_numbers_beyond_their_limits_are_refused() {
        assert!(refusal(&CHAT.replace("chat", &"a".repeat(65))).contains("at most 64"));
        assert!(refusal(&CHAT.replace("acme", "ac me")).contains("a package 'ac me'"));
        for interface in ["1", "1.", "1.0.0", "1.x", "1.0\\u001b[2J"] {
            assert!(refusal(&CHAT.replace("1.0", interface)).contains("is no version"), "{interface}");
        }
        let many = |count: usize| (0..count).map(|n| format!("{}\n", CHAT.replace("chat", &format!("c{n}")))).collect();
        let (most, more): (String, String) = (many(MOST), many(MOST + 1));
        assert_eq!(parse(most.as_bytes()).expect("it is not too many").len(), MOST);
        assert!(refusal(&more).contains("more than 256"));
    }

    fn of_bytes(bytes: &[u8]) -> String {
        of_data(bytes).expect_err("it is no plugin").to_string()
    }

    #[test]
    fn files_that_are_no_libraries_are_refused() {
        assert!(of_bytes(b"").contains("it is empty"));
        assert!(of_bytes(b"#!/bin/sh\necho I am a plugin\n").contains("no shared library"));
        assert!(of_bytes(b"\x7fELF\x02\x01\x01").contains("no shared library"));
        let dir = tempfile::tempdir().expect("a folder");
        assert!(matches!(of_file(&dir.path().join("no.so")), Err(Refusal::Unreadable(_))));
    }

    #[cfg(target_os = "linux")]
    mod with_the_systems_c_library {
        use super::*;
        use proptest::prelude::*;
        use std::{path::PathBuf, sync::LazyLock};

        static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
            let maps = fs::read_to_string("/proc/self/maps").expect("the system shows its mappings");
            let path =
                maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("libc"));
            path.expect("the program uses the C library").into()
        });
        static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(&*PATH).expect("it can be read"));

        #[test]
        fn a_library_without_a_manifest_is_refused_for_that_reason() {
            assert!(matches!(of_file(&PATH), Err(Refusal::NoManifest)));
        }

        #[test]
        fn a_library_for_another_machine_is_refused() {
            let mut bytes = BYTES.clone();
            // The field e_machine; 0 is no machine.
            bytes[18..20].fill(0);
            let text = of_bytes(&bytes);
            assert!(text.contains("this program runs on"), "{text}");
        }

        #[test]
        fn a_program_is_no_library() {
            let mut bytes = BYTES.clone();
            // The field e_type; 2 is a program.
            let executable = if cfg!(target_endian = "little") { [2, 0] } else { [0, 2] };
            bytes[16..18].copy_from_slice(&executable);
            assert!(matches!(of_data(&*bytes), Err(Refusal::NotShared)));
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]

            #[test]
            fn a_library_cut_short_anywhere_is_refused_as_damaged(cut in 64..BYTES.len()) {
                let error = of_data(&BYTES[..cut]).expect_err("a part is missing");
                prop_assert!(matches!(error, Refusal::Damaged(_)), "{error}");
            }

            #[test]
            fn damaged_headers_never_panic(at in 0_usize..64, value: u8, table in any::<prop::sample::Index>()) {
                let mut bytes = BYTES.clone();
                bytes[at] = value;
                let offset = bytes.len() - 1 - table.index(8192);
                bytes[offset] = value;
                prop_assert!(of_data(&*bytes).is_err());
            }
        }
    }
}
