"""The behaviours of the demonstration, and which shipped instance has to detect each."""

from lab.demo.scenario import Behaviour

BEHAVIOURS: tuple[Behaviour, ...] = ()
