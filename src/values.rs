//! [`Values`]: the session of an application that wants no struct.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Error, ErrorKind};

/// A session's data as a map from names to JSON values.
///
/// ```
/// use lambda_session::Values;
///
/// let mut values = Values::default();
/// values.insert("visits", 3)?;
/// assert_eq!(values.get::<u32>("visits"), Some(3));
/// assert_eq!(values.get::<u32>("nothing"), None);
/// assert_eq!(values.remove("visits"), Some(3.into()));
/// assert!(values.is_empty());
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(Map<String, Value>);

impl Values {
    /// The value of this name, if it is there and has this type.
    pub fn get<V: DeserializeOwned>(&self, name: &str) -> Option<V> {
        self.0.get(name).and_then(|value| V::deserialize(value).ok())
    }

    /// The JSON of this name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Keeps a value under this name, in the place of another.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if the value has no JSON form, such as a map whose keys are no strings.
    pub fn insert<V: Serialize>(&mut self, name: impl Into<String>, value: V) -> Result<(), Error> {
        let value = serde_json::to_value(value)
            .map_err(|error| Error::new(ErrorKind::Data, "a session's value has no JSON form").with_source(error))?;
        self.0.insert(name.into(), value);
        Ok(())
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Whether there is a value of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Takes all values out; the session itself stays.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names and values, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl Extend<(String, Value)> for Values {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, values: I) {
        self.0.extend(values);
    }
}

impl FromIterator<(String, Value)> for Values {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
