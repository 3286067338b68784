"""What a student answers, one task a file: what its numbers mean, from the labels to what an app is given.

May import ``base``; needs numpy alone, so that it travels to a device with the runtime.

A task says of one named output of a network what its axes are, which labels it takes, what an app is told of a sample,
when two answers are the same decision and how clear one is, and which metrics and losses suit it. Nothing else in the
house knows. A student has one output or several (``Heads``), each with a task of its own.
"""

from edgekd.base.marks import Marks as Marks
from edgekd.tasks._alarms import NORMAL as NORMAL
from edgekd.tasks._base import IGNORED as IGNORED
from edgekd.tasks._base import ROUNDED as ROUNDED
from edgekd.tasks._base import Decided as Decided
from edgekd.tasks._base import Geometry as Geometry
from edgekd.tasks._base import Record as Record
from edgekd.tasks._base import Shown as Shown
from edgekd.tasks._base import Task as Task
from edgekd.tasks._base import numbers_off as numbers_off
from edgekd.tasks._bio import edges as edges
from edgekd.tasks._certainty import DISTANCE as DISTANCE
from edgekd.tasks._certainty import Certainty as Certainty
from edgekd.tasks._certainty import certainties_of as certainties_of
from edgekd.tasks._class_distance import ClassDistance as ClassDistance
from edgekd.tasks._classes import LISTED as LISTED
from edgekd.tasks._classes import At as At
from edgekd.tasks._classes import Numbered as Numbered
from edgekd.tasks._classes import alike_names as alike_names
from edgekd.tasks._classes import check_ids as check_ids
from edgekd.tasks._classes import named as named
from edgekd.tasks._classes import same_name as same_name
from edgekd.tasks._heads import CLASSES as CLASSES
from edgekd.tasks._heads import SINGLE as SINGLE
from edgekd.tasks._heads import Heads as Heads
from edgekd.tasks._heads import Labelled as Labelled
from edgekd.tasks._make import SEVERAL as SEVERAL
from edgekd.tasks._make import class_of as class_of
from edgekd.tasks._make import kind_of as kind_of
from edgekd.tasks._make import make_task as make_task
from edgekd.tasks._make import table_of_heads as table_of_heads
from edgekd.tasks._own import PLUGIN as PLUGIN
from edgekd.tasks._own import Unnamed as Unnamed
from edgekd.tasks._own import is_built_in as is_built_in
from edgekd.tasks._own import path_of as path_of
from edgekd.tasks._pairs import TRIPLET_ROLES as TRIPLET_ROLES
from edgekd.tasks._pairs import pairs_of as pairs_of
from edgekd.tasks._pairs import triplets_of as triplets_of
from edgekd.tasks._predictions import Anomaly as Anomaly
from edgekd.tasks._predictions import AnomalyMap as AnomalyMap
from edgekd.tasks._predictions import Labels as Labels
from edgekd.tasks._predictions import Mask as Mask
from edgekd.tasks._predictions import Prediction as Prediction
from edgekd.tasks._predictions import Span as Span
from edgekd.tasks._predictions import Tags as Tags
from edgekd.tasks._predictions import Values as Values
from edgekd.tasks._predictions import Vector as Vector
from edgekd.tasks._vectors import unit_vectors as unit_vectors
