//! Lines of source code: a program carries them with it (`struct bpf_line_info`), and where its machine code has them.

use guestmem::GuestVirt;

use super::Program;
use crate::ReadError;

/// A line of source code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, without its directories.
    pub file: String,
    /// Its number, from 1.
    pub line: u64,
    /// What it says, without the blanks around it.
    pub text: String,
}

/// Lines of one program: more than the verifier takes instructions of.
const MOST_LINES: u64 = 1 << 20;
/// `BPF_LINE_INFO_LINE_NUM`: the number of the line is above the column.
const LINE_SHIFT: u32 = 10;

impl std::fmt::Display for SourceLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Program<'_> {
    /// The line that the machine code at this address was made of: the last one of `aux->jited_linfo` that is not behind
    /// it. `None` where the address is not in the program, and in a program without lines.
    pub fn source_line(&self, at: GuestVirt) -> Result<Option<SourceLine>, ReadError> {
        let Some((_, distance)) = self.symbolize(at)? else {
            return Ok(None);
        };
        let function = at.0 - distance;
        let aux = self.aux()?;
        let count = super::program::bounded(&aux, "nr_linfo", MOST_LINES)?;
        let Some(addresses) = aux.follow_opt("jited_linfo")?.filter(|_| count > 0) else {
            return Ok(None);
        };
        let mut last: Option<(u64, u64)> = None;
        for index in 0..count {
            let address = addresses.element(index)?.bits()?;
            if (function..=at.0).contains(&address) && last.is_none_or(|(least, _)| least < address) {
                last = Some((address, index));
            }
        }
        let (Some((_, index)), Some(types)) = (last, self.types()?) else {
            return Ok(None);
        };
        let info = aux.follow("linfo")?.element(index)?;
        let types = types.types()?;
        let string = |field: &str| info.u64(field).map(|offset| types.text(offset as u32).to_owned());
        let path = string("file_name_off")?;
        Ok(Some(SourceLine {
            file: path.rsplit('/').next().unwrap_or_default().to_owned(),
            line: info.u64("line_col")? >> LINE_SHIFT,
            text: string("line_off")?.trim().to_owned(),
        }))
    }
}
