// Java's own HttpClient: POSTs a megabyte to the URL over HTTP/1.1, and prints version, status and length of the echo.
import java.net.URI;
import java.net.http.*;

public class Client {
  public static void main(String[] args) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(args[0])).POST(HttpRequest.BodyPublishers.ofByteArray(new byte[1 << 20])).build();
    // Asked for HTTP/2 it sends Upgrade: h2c, which a proxy ignores.
    var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
    var answer = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
    System.out.println(answer.version() + " " + answer.statusCode() + " " + answer.body().length);
  }
}
