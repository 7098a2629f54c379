//! `#!` lines (`execve(2)`, "Interpreter scripts").

/// How much of a file is looked at: the line must end within it (`BINPRM_BUF_SIZE`).
pub(super) const HEAD_BYTES: usize = 256;

/// What a script's first line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScriptLine {
    /// The path of the interpreter.
    pub(super) interpreter: Vec<u8>,
    /// The one argument: the rest of the line.
    pub(super) argument: Option<Vec<u8>>,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

impl ScriptLine {
    /// Parses the beginning of a file, at most [`HEAD_BYTES`] of it. `None`: it does not begin with `#!`, or names no
    /// interpreter.
    ///
    /// As in Linux a line that does not end within the bytes may be cut off in its argument, but not in the
    /// interpreter's path.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let line = head.strip_prefix(b"#!")?;
        let is_cut = head.len() >= HEAD_BYTES && !line.contains(&b'\n');
        let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii_start_blank();
        let end = line.iter().position(|byte| is_blank(*byte) || *byte == 0);
        if is_cut && end.is_none() {
            return None;
        }
        let (interpreter, rest) = line.split_at(end.unwrap_or(line.len()));
        if interpreter.is_empty() {
            return None;
        }
        // A NUL ends the line, as it does all strings in C.
        let rest = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        let argument = rest.trim_ascii_start_blank().trim_ascii_end_blank();
        Some(Self {
            interpreter: interpreter.to_vec(),
            argument: (!argument.is_empty()).then(|| argument.to_vec()),
        })
    }
}

/// Trimming of what separates the words of the line, which is less than what ASCII calls white space.
trait TrimBlank {
    fn trim_ascii_start_blank(&self) -> &[u8];
    fn trim_ascii_end_blank(&self) -> &[u8];
}

impl TrimBlank for [u8] {
    fn trim_ascii_start_blank(&self) -> &[u8] {
        let start = self.iter().position(|byte| !is_blank(*byte)).unwrap_or(self.len());
        self.get(start..).unwrap_or_default()
    }

    fn trim_ascii_end_blank(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        self.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn line(text: &[u8]) -> Option<(String, Option<String>)> {
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        ScriptLine::parse(text).map(|line| (text_of(line.interpreter), line.argument.map(text_of)))
    }

    #[test]
    fn the_rest_of_the_line_is_one_argument() {
        assert_eq!(line(b"#!/bin/sh\n"), Some(("/bin/sh".into(), None)));
        assert_eq!(line(b"#!/bin/sh"), Some(("/bin/sh".into(), None)));
        assert_eq!(line(b"#! \t./outer   a b  \nmore"), Some(("./outer".into(), Some("a b".into()))));
        assert_eq!(line(b"#!/bin/sh\t-e\r\n"), Some(("/bin/sh".into(), Some("-e\r".into()))));
        assert_eq!(line(b"#!/bin/sh\0ignored\n"), Some(("/bin/sh".into(), None)));
    }

    #[test]
    fn what_names_no_interpreter_is_no_script() {
        for text in [&b""[..], b"#", b"#!", b"#!\n", b"#!  \n/bin/sh", b"echo #!/bin/sh"] {
            assert_eq!(line(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_long_line_may_be_cut_in_its_argument_only() {
        let long = |text: &str| format!("#!{text:x<254}").into_bytes();
        assert_eq!(line(&long("/bin/")), None);
        let (interpreter, argument) = line(&long("/bin/sh ")).unwrap();
        assert_eq!((interpreter.as_str(), argument.unwrap().len()), ("/bin/sh", 246));
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..HEAD_BYTES)) {
            let head = [b"#!", &bytes[..]].concat();
            if let Some(line) = ScriptLine::parse(&head[..head.len().min(HEAD_BYTES)]) {
                prop_assert!(!line.interpreter.is_empty() && !line.interpreter.contains(&0));
                prop_assert!(line.argument.is_none_or(|argument| !argument.is_empty()));
            }
        }
    }
}
