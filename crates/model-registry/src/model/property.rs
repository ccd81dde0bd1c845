//! Custom properties: values that people attach to a resource under names of their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The custom properties of a resource, by name.
pub type Properties = BTreeMap<String, Property>;

/// The value of a custom property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Property {
    /// `MetadataIntValue`
    Int(i32),
    /// `MetadataDoubleValue`
    Double(f64),
    /// `MetadataStringValue`
    String(String),
    /// `MetadataBoolValue`
    Bool(bool),
    /// `MetadataStructValue`: the base64 form of a JSON text, as it was given.
    Struct(String),
}

impl Property {
    /// What `metadataType` says of it.
    pub const fn metadata_type(&self) -> &'static str {
        match self {
            Self::Int(_) => "MetadataIntValue",
            Self::Double(_) => "MetadataDoubleValue",
            Self::String(_) => "MetadataStringValue",
            Self::Bool(_) => "MetadataBoolValue",
            Self::Struct(_) => "MetadataStructValue",
        }
    }

    /// The field that holds its value.
    pub const fn value_field(&self) -> &'static str {
        match self {
            Self::Int(_) => "int_value",
            Self::Double(_) => "double_value",
            Self::String(_) => "string_value",
            Self::Bool(_) => "bool_value",
            Self::Struct(_) => "struct_value",
        }
    }
}
