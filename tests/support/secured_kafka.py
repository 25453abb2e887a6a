"""A real Kafka with users (SASL/PLAIN) and an authorizer: who is not given a right has none, except `admin`."""

from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import LOOPBACK

USERS = ("admin", "narrow", "blind")
_TIMEOUT_SECONDS = 15.0


class SecuredKafka(LocalKafka):
    """The controller's listener stays open, on the loopback interface; clients log in."""

    def __init__(self, data_directory: Path) -> None:
        super().__init__(data_directory)
        self.password = "a-made-up-secret"

    def login(self, user: str) -> dict[str, str]:
        """The settings with which Ferry reaches it as this user."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": self.password,
        }

    def allow(self, user: str, kind: str, name: str, operation: str) -> None:
        """Give a right on a topic or group."""
        binding = AclBinding(
            ResourceType[kind.upper()], name, ResourcePatternType.LITERAL, f"User:{user}", "*",
            AclOperation[operation], AclPermissionType.ALLOW,
        )  # fmt: skip
        admin = self._admin()  # without a name it would be gone before its answer
        admin.create_acls([binding])[binding].result(_TIMEOUT_SECONDS)

    def _admin(self) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": self.bootstrap_servers, "security.protocol": "sasl_plaintext",
                "sasl.mechanism": "PLAIN", "sasl.username": "admin", "sasl.password": self.password, "log_level": 0,
            }
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            return bool(self._admin().list_topics(timeout=2.0).cluster_id == self._cluster_id)
        except KafkaException:
            return False

    def _server_properties(self) -> str:
        users = " ".join(f'user_{user}="{self.password}"' for user in USERS)
        secured = {
            "listeners": f"SASL_PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "security.inter.broker.protocol": "SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'username="admin" password="{self.password}" {users};'
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The controller's listener knows nobody by name.
            "super.users": "User:admin;User:ANONYMOUS",
        }
        # Of a property that is given twice Java takes the last.
        return super()._server_properties() + "".join(f"{name}={value}\n" for name, value in secured.items())
