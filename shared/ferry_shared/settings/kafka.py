"""Settings of everybody who talks to Kafka."""

from typing import Literal

from pydantic import Field, SecretStr

from ferry_shared.kafka_properties import KafkaProperties, PropertyValue
from ferry_shared.settings.section import Settings


class KafkaSettings(Settings):
    """How Kafka is reached."""

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Kafka brokers, host:port, separated by commas."
    )
    kafka_security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="How connections to Kafka are encrypted and authenticated."
    )
    kafka_sasl_mechanism: str = Field("", description="Such as SCRAM-SHA-512, PLAIN or OAUTHBEARER.")
    kafka_sasl_username: str = Field("", description="User name for SASL.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="Password for SASL; never printed.")
    kafka_ssl_ca_location: str = Field("", description="File with the certificate authorities to trust.")
    kafka_ssl_certificate_location: str = Field("", description="File with this client's certificate (mTLS).")
    kafka_ssl_key_location: str = Field("", description="File with this client's private key (mTLS).")
    kafka_ssl_key_password: SecretStr = Field(SecretStr(""), description="Password of that key; never printed.")
    kafka_client_properties: KafkaProperties = Field(
        default_factory=dict,
        repr=False,  # it may hold a password
        description='Any other librdkafka property, as a JSON object: {"socket.timeout.ms": 10000}.',
    )

    def client_properties(self) -> dict[str, PropertyValue]:
        """Return the librdkafka properties that reach and authenticate with Kafka; KAFKA_CLIENT_PROPERTIES win."""
        named = {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password.get_secret_value(),
            "ssl.ca.location": self.kafka_ssl_ca_location,
            "ssl.certificate.location": self.kafka_ssl_certificate_location,
            "ssl.key.location": self.kafka_ssl_key_location,
            "ssl.key.password": self.kafka_ssl_key_password.get_secret_value(),
        }
        return {name: value for name, value in named.items() if value} | self.kafka_client_properties
