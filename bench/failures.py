"""What keeps something from being measured."""


class MeasurementFailed(Exception):
    """One of the systems can't be measured here; the message says why, and what to do. The others still are."""


class TooFewSamples(MeasurementFailed):
    """It was over while Kafka was too busy to say how far it is: that says nothing of who was measured."""
