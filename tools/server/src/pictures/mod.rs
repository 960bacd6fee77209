//! The bytes of pictures that requests name: data URLs, files of one folder, and, if that is switched
//! on, http(s) URLs.
//!
//! Owns what a request may reach. It knows nothing of picture formats and messages.

mod address;
mod fetch;
mod folder;
#[cfg(test)]
mod tests;

use crate::{
    error::{ApiError, Result},
    options::ServerOptions,
};
use data_url::DataUrl;
use fetch::Fetcher;
use folder::Folder;
use url::Url;

/// Finds pictures.
pub(crate) struct Sources {
    folder: Option<Folder>,
    fetcher: Option<Fetcher>,
}

impl Sources {
    /// What `options` allow.
    ///
    /// Errors if the folder does not exist.
    pub(crate) fn new(options: &ServerOptions) -> pixtral::Result<Self> {
        let folder = options.pictures_folder.as_deref();
        Ok(Self {
            folder: folder.map(Folder::new).transpose()?,
            fetcher: options.fetch.clone().map(Fetcher::new),
        })
    }

    /// The encoded picture that `name` stands for, which the field `param` has.
    pub(crate) async fn load(&self, param: &str, name: &str) -> Result<Vec<u8>> {
        let refuse = |why: String| ApiError::field(param, why).code("invalid_image_url");
        if name
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        {
            return data(name).map_err(refuse);
        }
        match Url::parse(name) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => match &self.fetcher {
                Some(fetcher) => fetcher.get(url).await.map_err(refuse),
                None => Err(refuse(
                    "this server does not fetch pictures: send the picture itself, as \
                     data:image/png;base64,…, or start the server with --fetch-images"
                        .to_owned(),
                )),
            },
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path();
                let path = path.map_err(|()| refuse("is no path of a file".to_owned()))?;
                self.read(&path).await.map_err(refuse)
            }
            // One letter is a drive of Windows.
            Ok(url) if url.scheme().len() > 1 => Err(refuse(format!(
                "there are no pictures by {:?}, expected a data URL, http(s) or a file",
                url.scheme()
            ))),
            _ => self.read(name.as_ref()).await.map_err(refuse),
        }
    }

    async fn read(&self, path: &std::path::Path) -> Result<Vec<u8>, String> {
        match &self.folder {
            Some(folder) => folder.read(path).await,
            None => Err("this server reads no files: send the picture itself, as \
                 data:image/png;base64,…, or start the server with --allow-images-in DIR"
                .to_owned()),
        }
    }
}

/// The bytes in a data URL.
fn data(url: &str) -> Result<Vec<u8>, String> {
    let url = DataUrl::process(url)
        .map_err(|_| "is no data URL, expected data:image/png;base64,…".to_owned())?;
    let (bytes, _) = url
        .decode_to_vec()
        .map_err(|_| "the data URL's base64 is damaged".to_owned())?;
    match bytes.is_empty() {
        true => Err("the data URL is empty".to_owned()),
        false => Ok(bytes),
    }
}
