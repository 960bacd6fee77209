//! The messages in a session's file: JSON in the form of OpenAI's requests, and the prepared pictures that
//! it names by number. Beside the keys and values of their tokens, the pictures' pixels are little.

use pixtral::{
    Error, ErrorKind, Result,
    chat::{ChatRequest, ImageSource, Message, Part, Tool, ToolCall},
    config::VisionConfig,
    preprocess::{Patches, PreparedImage},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Bytes that say how long the JSON is, before it.
const LENGTH: usize = 8;

/// The conversation `request` as bytes: the JSON's length, the JSON, and the pictures' values, each
/// picture [3, height, width] of 32-bit floats, everything in little endian.
pub(crate) fn write(request: &ChatRequest) -> Result<Vec<u8>> {
    let mut images: Vec<&Arc<PreparedImage>> = Vec::new();
    let messages = request
        .messages
        .iter()
        .map(|message| message_json(message, &mut images))
        .collect::<Result<Vec<_>>>()?;
    let sizes: Vec<[u32; 2]> = images.iter().map(|i| [i.width, i.height]).collect();
    let tools: Vec<Value> = request.tools.iter().map(tool_json).collect();
    let json = json!({"messages": messages, "tools": tools, "images": sizes}).to_string();
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    let values = images.iter().flat_map(|image| &image.pixels);
    bytes.extend(values.flat_map(|value| value.to_le_bytes()));
    Ok(bytes)
}

fn message_json<'a>(
    message: &'a Message,
    images: &mut Vec<&'a Arc<PreparedImage>>,
) -> Result<Value> {
    let text = |text: &String| json!({"type": "text", "text": text});
    let all = |texts: &[String]| texts.iter().map(text).collect::<Vec<_>>();
    Ok(match message {
        Message::System { texts } => json!({"role": "system", "content": all(texts)}),
        Message::User { parts } => {
            let mut content = Vec::with_capacity(parts.len());
            for part in parts {
                content.push(match part {
                    Part::Text(content) => text(content),
                    Part::Image(ImageSource::Prepared(image)) => {
                        let known = images.iter().position(|known| Arc::ptr_eq(known, image));
                        let number = known.unwrap_or_else(|| {
                            images.push(image);
                            images.len() - 1
                        });
                        json!({"type": "image_url", "image_url": number.to_string()})
                    }
                    Part::Image(ImageSource::Url(url)) => {
                        return Err(Error::new(
                            ErrorKind::Internal,
                            format!("{url}: a picture was not prepared"),
                        ));
                    }
                });
            }
            json!({"role": "user", "content": content})
        }
        Message::Assistant {
            texts,
            tool_calls,
            prefix,
        } => {
            let calls: Vec<Value> = tool_calls.iter().map(call_json).collect();
            json!({"role": "assistant", "content": all(texts), "tool_calls": calls, "prefix": prefix})
        }
        Message::Tool {
            texts,
            call_id,
            name,
        } => json!({"role": "tool", "content": all(texts), "tool_call_id": call_id, "name": name}),
    })
}

fn call_json(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

fn tool_json(tool: &Tool) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name, "description": tool.description, "parameters": tool.parameters,
    }})
}

/// The conversation in `note`, which [`write`] wrote for a model with this vision tower.
pub(crate) fn read(note: &[u8], vision: &VisionConfig) -> Result<ChatRequest> {
    let (json, pixels) = split(note)?;
    let mut images = read_images(&json, pixels, vision)?;
    let mut request = ChatRequest::from_json(&json)?;
    for message in &mut request.messages {
        let Message::User { parts } = message else {
            continue;
        };
        for part in parts {
            if let Part::Image(source) = part
                && let ImageSource::Url(number) = source
            {
                let image = number.parse().ok().and_then(|n: usize| images.get_mut(n));
                let image = image.ok_or_else(|| foreign(format!("has no picture {number}")))?;
                *source = ImageSource::Prepared(image.clone());
            }
        }
    }
    Ok(request)
}

fn split(note: &[u8]) -> Result<(Value, &[u8])> {
    let (length, rest) = note
        .split_first_chunk::<LENGTH>()
        .ok_or_else(|| foreign("has no messages".to_owned()))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (json, pixels) = rest
        .split_at_checked(length)
        .ok_or_else(|| foreign("has messages of another form".to_owned()))?;
    match serde_json::from_slice::<Map<String, Value>>(json) {
        Ok(json) => Ok((Value::Object(json), pixels)),
        Err(e) => Err(foreign(format!("has messages that are not JSON ({e})")).with_source(e)),
    }
}

fn read_images(
    json: &Value,
    mut pixels: &[u8],
    vision: &VisionConfig,
) -> Result<Vec<Arc<PreparedImage>>> {
    let sizes: Vec<[u32; 2]> = serde_json::from_value(json["images"].clone())
        .map_err(|e| foreign(format!("has pictures without a size ({e})")).with_source(e))?;
    let patch = vision.patch_size;
    let longest = vision.image_size.next_multiple_of(patch);
    let mut images = Vec::with_capacity(sizes.len());
    for [width, height] in sizes {
        let possible = |side: u32| (1..=longest).contains(&side) && side.is_multiple_of(patch);
        let n_bytes = 3 * width as usize * height as usize * size_of::<f32>();
        let own = pixels.split_at_checked(n_bytes);
        let (Some((own, rest)), true) = (own, possible(width) && possible(height)) else {
            return Err(foreign(format!("has a picture of {width}x{height} pixels")));
        };
        pixels = rest;
        let values: Vec<f32> = own
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(foreign(
                "has a picture whose values are no numbers".to_owned(),
            ));
        }
        images.push(Arc::new(PreparedImage {
            pixels: values,
            width,
            height,
            grid: Patches {
                rows: height / patch,
                cols: width / patch,
            },
        }));
    }
    Ok(images)
}

fn foreign(what: String) -> Error {
    Error::new(
        ErrorKind::InvalidFile,
        format!("{what}: it was written by another program, choose another file"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixtral::config::Config;

    fn vision() -> VisionConfig {
        Config::pixtral_12b().vision
    }

    fn conversation() -> ChatRequest {
        let image = Arc::new(PreparedImage {
            pixels: (0..3 * 16 * 32).map(|i| i as f32 / 7.0).collect(),
            width: 32,
            height: 16,
            grid: Patches { rows: 1, cols: 2 },
        });
        let parameters = json!({"type": "object", "properties": {}});
        ChatRequest::new(vec![
            Message::system("Be brief."),
            Message::user([
                Part::image(image.clone()),
                Part::text("What?"),
                Part::image(image),
            ]),
            Message::tool_calls(vec![ToolCall::new("aaaaaaaa1", "f", "{\"x\":1}")]),
            Message::tool_result("aaaaaaaa1", "7"),
            Message::assistant_prefix("Se"),
        ])
        .with_tools(vec![Tool {
            name: "f".into(),
            description: "d".into(),
            parameters: parameters.as_object().unwrap().clone(),
        }])
    }

    #[test]
    fn a_conversation_comes_back_as_it_was_and_a_picture_is_kept_once() {
        let request = conversation();
        let bytes = write(&request).unwrap();
        let found = read(&bytes, &vision()).unwrap();
        assert_eq!(format!("{found:?}"), format!("{request:?}"));
        assert_eq!(write(&found).unwrap(), bytes);
        let n_pixels = 3 * 16 * 32;
        assert!(bytes.len() < 2 * n_pixels * size_of::<f32>());
    }

    #[test]
    fn what_another_program_wrote_is_refused() {
        let whole = write(&conversation()).unwrap();
        let json_end = LENGTH + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
        for end in [0, 4, LENGTH, json_end - 1, json_end, whole.len() - 1] {
            let e = read(&whole[..end], &vision()).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidFile, "{end}: {e}");
        }
        let changed = |from: &str, to: &str| {
            let text = String::from_utf8_lossy(&whole[LENGTH..json_end]).replace(from, to);
            let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
            bytes.extend(text.as_bytes());
            bytes.extend(&whole[json_end..]);
            read(&bytes, &vision()).unwrap_err()
        };
        for (from, to) in [
            ("[32,16]", "[4294967295,4294967295]"),
            ("[32,16]", "[0,16]"),
            ("[32,16]", "[31,16]"),
            ("\"image_url\":\"0\"", "\"image_url\":\"1\""),
            ("\"image_url\":\"0\"", "\"image_url\":\"/etc/passwd\""),
        ] {
            assert_eq!(changed(from, to).kind(), ErrorKind::InvalidFile, "{to}");
        }
    }
}
