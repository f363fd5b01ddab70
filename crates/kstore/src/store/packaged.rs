//! Files of packages other than kernels: fetched once, and kept beside the kernels.

use std::fs;
use std::path::PathBuf;

use disk::files;

use super::Store;
use crate::apt;
use crate::error::StoreError;
use crate::progress::Progress;
use crate::request::PackagedFile;

impl Store {
    /// The local path of a package's file. The first request fetches it from the newest version; later ones reuse it.
    ///
    /// # Errors
    /// [`StoreError`] when the file is not cached and could not be fetched.
    pub fn packaged(
        &self,
        file: &PackagedFile<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, StoreError> {
        let suite = file.suite()?;
        let directory = self
            .directory
            .join(".files")
            .join(format!("{}-{}", file.suite, file.architecture))
            .join(file.package);
        let path = directory.join(file.path.replace('/', "_"));
        if path.is_file() {
            return Ok(path);
        }
        let (state, lock) = self.suite(&suite, progress)?;
        // The previous holder of the lock may have fetched the file.
        if path.is_file() {
            return Ok(path);
        }
        let wanted = (file.package, file.path);
        let bytes = apt::fetch_member(&self.programs, &state, lock.file(), &suite, wanted, progress)?;
        fs::create_dir_all(&directory).map_err(StoreError::file("creating", &directory))?;
        files::replace(&path, &bytes).map_err(|source| self.write_failed(bytes.len() as u64, source))?;
        Ok(path)
    }
}
