//! The manifest: JSON lines in a link section of the library, one per component, readable without running anything.
//!
//! Linkers pad sections with zero bytes; readers skip them.

/// Name of the link section in ELF files.
pub const SECTION: &str = ".inferometer";
/// Name of the link section in Mach-O files, after its segment `__DATA`.
pub const SECTION_MACHO: &str = "__inferometer";

/// Copies a manifest line into an array that can be placed in a section.
#[doc(hidden)]
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let source = text.as_bytes();
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = source[i];
        i += 1;
    }
    out
}

/// Places one line of the manifest into the link section. Used by the SDK's macros only.
#[doc(hidden)]
#[macro_export]
macro_rules! __manifest_line {
    ($text:expr) => {
        const _: () = {
            const TEXT: &str = $text;
            // SAFETY: the section holds plain bytes and belongs to inferometer alone.
            #[used]
            #[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".inferometer"))]
            #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__inferometer"))]
            static LINE: [u8; TEXT.len()] = $crate::wire::manifest::bytes(TEXT);
        };
    };
}
