//! Variables of BPF programs: `.bss`, `.data` and `.rodata` are arrays of one value, whose type is a section.

use super::{Bpf, Held, Map};
use crate::btf::{Kind, TypeId};
use crate::{Object, ReadError};

impl<'b> Map<'b> {
    /// Is it a section of variables?
    pub fn is_section(&self) -> Result<bool, ReadError> {
        let type_id = TypeId(self.object().u64("btf_value_type_id")? as u32);
        match self.types()? {
            Some(types) if type_id != TypeId::VOID => {
                let types = types.types()?;
                Ok(types.kind(types.resolve(type_id)) == Kind::Datasec)
            }
            _ => Ok(false),
        }
    }

    /// Its variables, each with its name, in the order of the section; none of a map that is no section.
    pub fn globals(&self) -> Result<Vec<(&'b str, Object<'b>)>, ReadError> {
        if !self.is_section()? {
            return Ok(Vec::new());
        }
        let contents = self.contents(1)?;
        if let Some(problem) = contents.problem {
            return Err(problem);
        }
        let section = contents.entries.iter().find_map(|entry| match &entry.value {
            Held::One(datum) => datum.object(),
            _ => None,
        });
        let Some(section) = section else {
            return Ok(Vec::new());
        };
        let btf = section.btf();
        let vars = btf.section_vars(btf.resolve(section.type_id()));
        vars.map(|var| {
            let at = section.address().wrapping_add(var.offset.into());
            let object = Object::new(section.kernel(), btf, at, var.type_id);
            if u64::from(var.offset).saturating_add(object.size()) > section.size() {
                let what = format!("the offset of {}", var.name);
                let why = format!("{} has {} bytes", section.describe(), section.size());
                return Err(ReadError::out_of_range(what, var.offset.into(), why));
            }
            Ok((var.name, object))
        })
        .collect()
    }
}

impl Bpf<'_> {
    /// The variables of this name, of all programs that are loaded.
    pub fn globals(&self, name: &str) -> Result<Vec<Object<'_>>, ReadError> {
        let mut found = Vec::new();
        for map in self.maps()? {
            let globals = map.globals()?;
            found.extend(
                globals
                    .into_iter()
                    .filter(|(own, _)| *own == name)
                    .map(|(_, object)| object),
            );
        }
        Ok(found)
    }

    /// The variable of this name, when one program alone has it.
    ///
    /// # Errors
    /// [`ReadError::NotLoaded`] when none has it, [`ReadError::TooMany`] when several have.
    pub fn global(&self, name: &str) -> Result<Object<'_>, ReadError> {
        match self.globals(name)?.as_slice() {
            [] => Err(ReadError::NotLoaded {
                kind: "variable",
                name: name.to_owned(),
            }),
            [one] => Ok(*one),
            _ => Err(ReadError::TooMany {
                what: format!("variables named {name}"),
                most: 1,
            }),
        }
    }
}
