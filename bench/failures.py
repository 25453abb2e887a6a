"""What keeps something from being measured."""


class MeasurementFailed(Exception):
    """One of the systems can't be measured here; the message says why, and what to do. The others still are."""


class TooFewSamples(MeasurementFailed):
    """It was over between two looks, such as while Kafka was too busy to answer: whoever it was is measured again."""
