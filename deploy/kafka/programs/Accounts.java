import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialAlteration;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * Makes the accounts of a cluster and what they may do exactly those of a file; what is there beyond it goes. Then groups can come.
 *
 * <p>Arguments: the properties of a client that may do everything, and the file. A line of it is one of
 *
 * <pre>
 * user NAME PASSWORD
 * allow NAME OPERATION TOPIC|GROUP|CLUSTER LITERAL|PREFIXED RESOURCE
 * </pre>
 */
public final class Accounts {
    private static final String OFFSETS = "__consumer_offsets";
    private static final ScramMechanism MECHANISM = ScramMechanism.SCRAM_SHA_512;

    /** Passwords are 256 random bits: nothing is gained by making guesses slow. */
    private static final int ITERATIONS = 4096;

    private final Set<String> users = new TreeSet<>();
    private final List<UserScramCredentialAlteration> passwords = new ArrayList<>();
    private final Set<AclBinding> rights = new HashSet<>();

    private Accounts(List<String> lines) {
        for (String line : lines) {
            String[] word = line.split(" ");
            switch (word[0]) {
                case "user":
                    users.add(word[1]);
                    ScramCredentialInfo info = new ScramCredentialInfo(MECHANISM, ITERATIONS);
                    passwords.add(new UserScramCredentialUpsertion(word[1], info, word[2]));
                    break;
                case "allow":
                    rights.add(right(word));
                    break;
                default:
                    throw new IllegalArgumentException("a line begins with `" + word[0] + "`");
            }
        }
    }

    private static AclBinding right(String[] word) {
        PatternType pattern = PatternType.valueOf(word[4]);
        ResourcePattern resource = new ResourcePattern(ResourceType.valueOf(word[3]), word[5], pattern);
        AclOperation operation = AclOperation.valueOf(word[2]);
        return new AclBinding(
                resource, new AccessControlEntry("User:" + word[1], "*", operation, AclPermissionType.ALLOW));
    }

    private void apply(Admin admin) throws ExecutionException, InterruptedException {
        Collection<AclBinding> known = admin.describeAcls(AclBindingFilter.ANY).values().get();
        Set<AclBinding> missing = new HashSet<>(rights);
        missing.removeAll(known);
        List<AclBindingFilter> surplus = new ArrayList<>();
        for (AclBinding right : known) {
            if (!rights.contains(right)) {
                surplus.add(right.toFilter());
            }
        }
        for (String user : admin.describeUserScramCredentials().users().get()) {
            if (!users.contains(user)) {
                passwords.add(new UserScramCredentialDeletion(user, MECHANISM));
            }
        }
        // A right goes before anybody new comes, and comes before anybody can use it.
        admin.deleteAcls(surplus).all().get();
        admin.createAcls(missing).all().get();
        admin.alterUserScramCredentials(passwords).all().get();
        System.out.printf(
                "%d accounts, %d rights (%d new, %d gone)%n",
                users.size(), rights.size(), missing.size(), surplus.size());
    }

    /**
     * Makes the topic of offsets, and waits until every broker coordinates its groups. Where groups are the first to ask for it, a client
     * may be sent to a broker that does not know of its group yet; librdkafka then never asks again where it reads on
     * (confluentinc/librdkafka#5586).
     */
    private static void prepareGroups(Admin admin) throws ExecutionException, InterruptedException {
        int partitions = 1;
        // Names that follow each other lie in partitions that do.
        for (int number = 0; number < partitions; number++) {
            askCoordinator(admin, "bootstrap-" + number);
            partitions = admin.describeTopics(List.of(OFFSETS)).allTopicNames().get().get(OFFSETS).partitions().size();
        }
    }

    private static void askCoordinator(Admin admin, String group) throws ExecutionException, InterruptedException {
        try {
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        } catch (ExecutionException problem) {
            if (!(problem.getCause() instanceof GroupIdNotFoundException)) {
                throw problem;
            }
        }
    }

    public static void main(String[] arguments) throws IOException, ExecutionException, InterruptedException {
        Properties properties = new Properties();
        properties.load(Files.newBufferedReader(Path.of(arguments[0])));
        Accounts accounts = new Accounts(Files.readAllLines(Path.of(arguments[1])));
        try (Admin admin = Admin.create(properties)) {
            accounts.apply(admin);
            prepareGroups(admin);
        }
    }
}
