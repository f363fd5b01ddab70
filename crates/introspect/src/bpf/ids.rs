//! What has an id: the kernel keeps an IDR of each.

use crate::collections::xarray;
use crate::{GuestKernel, Object, ReadError};

/// An IDR of the kernel's.
pub(super) struct Ids {
    symbol: &'static str,
    structure: &'static str,
    /// Where an object has its own id.
    id: &'static str,
}

/// `prog_idr`
pub(super) const PROGS: Ids = Ids {
    symbol: "prog_idr",
    structure: "bpf_prog",
    id: "aux->id",
};
/// `map_idr`
pub(super) const MAPS: Ids = Ids {
    symbol: "map_idr",
    structure: "bpf_map",
    id: "id",
};
/// `btf_idr`
pub(super) const BTFS: Ids = Ids {
    symbol: "btf_idr",
    structure: "btf",
    id: "id",
};
/// `link_idr`
pub(super) const LINKS: Ids = Ids {
    symbol: "link_idr",
    structure: "bpf_link",
    id: "id",
};

/// Nodes of an IDR at the most: with 64 slots each, enough for 4 million objects.
const MOST_NODES: usize = 1 << 16;

/// The objects with their ids, ascending. An object that says another id of itself is an error.
pub(super) fn by_id<'k>(
    kernel: &'k GuestKernel<'k>,
    ids: &Ids,
) -> impl Iterator<Item = Result<(u64, Object<'k>), ReadError>> {
    let idr = kernel.variable(ids.symbol, "idr");
    let base = idr.and_then(|idr| Ok((idr, idr.u64("idr_base")?)));
    let (idr, failed) = match base {
        Ok(idr) => (Some(idr), None),
        Err(error) => (None, Some(Err(error))),
    };
    let entries = idr.into_iter().flat_map(move |(idr, base)| {
        xarray(idr, MOST_NODES).map(move |entry| {
            let (index, at) = entry?;
            let object = kernel.object(at, ids.structure)?;
            let (id, own) = (base.wrapping_add(index), object.u64(ids.id)?);
            if own != id {
                let what = format!("the id of {}", object.describe());
                return Err(ReadError::out_of_range(
                    what,
                    own,
                    format!("{} has it as {id}", ids.symbol),
                ));
            }
            Ok((id, object))
        })
    });
    failed.into_iter().chain(entries)
}
