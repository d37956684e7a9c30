import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicPartitionInfo;

/**
 * Waits until every partition has all its copies, or those of one broker: before that no other broker may go.
 *
 * <p>Arguments: the properties of a client that may do everything, for how many seconds, and the number of the broker; without it, all. Ends
 * with 1 and says what still lacks copies when these are over.
 */
public final class Copies {
    private static final long PAUSE_MILLIS = 500;

    private Copies() {}

    /** Whether a broker should have a copy and has none that is whole. */
    private static boolean lacks(TopicPartitionInfo partition, String broker) {
        return partition.replicas().stream()
                .filter(replica -> broker == null || replica.idString().equals(broker))
                .anyMatch(replica -> partition.isr().stream().noneMatch(whole -> whole.id() == replica.id()));
    }

    /** What lacks copies, in words; empty when nothing does. */
    private static String lacking(Admin admin, String broker) throws ExecutionException, InterruptedException {
        var names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
        int count = 0;
        String example = "";
        for (TopicDescription topic : admin.describeTopics(names).allTopicNames().get().values()) {
            for (TopicPartitionInfo partition : topic.partitions()) {
                if (lacks(partition, broker)) {
                    count++;
                    example = topic.name() + "-" + partition.partition();
                }
            }
        }
        return count == 0 ? "" : count + " partitions lack copies, for example of " + example;
    }

    /** Asks until nothing lacks copies. */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        Properties access = new Properties();
        try (var file = Files.newBufferedReader(Path.of(arguments[0]))) {
            access.load(file);
        }
        access.put("default.api.timeout.ms", "15000");
        access.put("request.timeout.ms", "10000");
        long limit = Long.parseLong(arguments[1]) * 1_000_000_000L;
        String broker = arguments.length > 2 ? arguments[2] : null;
        long began = System.nanoTime();
        try (Admin admin = Admin.create(access)) {
            while (true) {
                String lacking;
                try {
                    lacking = lacking(admin, broker);
                } catch (ExecutionException error) {
                    lacking = "the brokers do not say who has what: " + error.getCause();
                }
                if (lacking.isEmpty()) {
                    return;
                }
                if (System.nanoTime() - began > limit) {
                    System.err.println("after " + arguments[1] + " s " + lacking);
                    System.exit(1);
                }
                Thread.sleep(PAUSE_MILLIS);
            }
        }
    }
}
