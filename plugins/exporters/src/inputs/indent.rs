//! JSON laid out for people, as it was sent.

/// Deepest level that is still indented further, so that deep nesting cannot blow up the file.
pub(super) const DEEPEST: usize = 32;

/// Appends valid JSON with two blanks of indentation per level, beginning at `depth`. Names keep their order and values
/// their spelling, which a parser and a printer would not give back.
pub(super) fn indent(json: &str, mut depth: usize, out: &mut Vec<u8>) {
    fn new_line(depth: usize, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth.min(DEEPEST), b' ');
    }
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let mut end = at;
                while bytes.get(end).is_some_and(|&b| b != b'"') {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                let end = (end + 1).min(bytes.len());
                out.extend_from_slice(&bytes[at - 1..end]);
                at = end;
            }
            b'{' | b'[' => {
                out.push(byte);
                let inside = at + bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                if let Some(&close @ (b'}' | b']')) = bytes.get(inside) {
                    out.push(close);
                    at = inside + 1;
                } else {
                    depth += 1;
                    new_line(depth, out);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ if byte.is_ascii_whitespace() => {}
            _ => out.push(byte),
        }
    }
}
