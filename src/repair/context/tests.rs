use std::{fs, path::Path};

use super::*;
use crate::detect::Detector;

mod corpus;
