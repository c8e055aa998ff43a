/* Reads mails with GMime 3, for make compare and the benchmarks.
 *
 * gmime DIR N          one line per mail 0.eml .. N-1.eml of DIR: from, to,
 *                      subject, date, message-id, leaves, attachment octets
 * gmime --time DIR N R reads them R times and prints the CPU seconds
 *
 * cc -O2 gmime.c -o gmime $(pkg-config --cflags --libs gmime-3.0)
 */
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void print_clean(const char *s, char end) {
	for (; s && *s; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s);
	putchar(end);
}

static void add_addresses(GString *out, InternetAddressList *list) {
	for (int i = 0; list && i < internet_address_list_length(list); i++) {
		InternetAddress *a = internet_address_list_get_address(list, i);
		if (INTERNET_ADDRESS_IS_GROUP(a)) {
			add_addresses(out, internet_address_group_get_members((InternetAddressGroup *)a));
			continue;
		}
		const char *addr = internet_address_mailbox_get_addr((InternetAddressMailbox *)a);
		if (addr && strchr(addr, '@'))
			g_string_append_printf(out, "%s%s", out->len ? "," : "", addr);
	}
}

static int timed;

struct totals { int leaves; long long octets; };

static void leaf(GMimePart *part, struct totals *t) {
	GMimeContentType *type = g_mime_object_get_content_type((GMimeObject *)part);
	GMimeDataWrapper *content = g_mime_part_get_content(part);
	t->leaves++;
	if (!content)
		return;
	if (timed && GMIME_IS_TEXT_PART(part)) { /* what a record holds: the text in UTF-8 */
		g_free(g_mime_text_part_get_text((GMimeTextPart *)part));
		return;
	}
	GMimeStream *null = g_mime_stream_null_new();
	gssize n = g_mime_data_wrapper_write_to_stream(content, null);
	const char *major = type ? g_mime_content_type_get_media_type(type) : "";
	if (n > 0 && g_ascii_strcasecmp(major, "text") && g_ascii_strcasecmp(major, "message"))
		t->octets += n;
	g_object_unref(null);
}

static void walk(GMimeObject *o, struct totals *t) {
	if (!o)
		return;
	if (GMIME_IS_MULTIPART(o)) {
		int n = g_mime_multipart_get_count((GMimeMultipart *)o);
		for (int i = 0; i < n; i++)
			walk(g_mime_multipart_get_part((GMimeMultipart *)o, i), t);
		if (n == 0)
			t->leaves++;
	} else if (GMIME_IS_MESSAGE_PART(o)) {
		GMimeMessage *m = g_mime_message_part_get_message((GMimeMessagePart *)o);
		if (m)
			walk(g_mime_message_get_mime_part(m), t);
		else
			t->leaves++;
	} else if (GMIME_IS_PART(o)) {
		leaf((GMimePart *)o, t);
	}
}

static void record(const char *raw, size_t len, int print) {
	GMimeStream *stream = g_mime_stream_mem_new_with_buffer(raw, len);
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
	struct totals t = {0, 0};
	if (m) {
		GString *from = g_string_new(""), *to = g_string_new("");
		add_addresses(from, g_mime_message_get_from(m));
		add_addresses(to, g_mime_message_get_to(m));
		const char *subject = g_mime_message_get_subject(m), *id = g_mime_message_get_message_id(m);
		GDateTime *date = g_mime_message_get_date(m);
		walk(g_mime_message_get_mime_part(m), &t);
		if (print) {
			print_clean(from->str, '\t');
			print_clean(to->str, '\t');
			print_clean(subject, '\t');
			if (date)
				printf("%lld", (long long)g_date_time_to_unix(date));
			putchar('\t');
			print_clean(id, '\t');
			printf("%d\t%lld\n", t.leaves, t.octets);
		}
		g_string_free(from, TRUE);
		g_string_free(to, TRUE);
		g_object_unref(m);
	} else if (print) {
		puts("!\t!\t!\t!\t!\t!\t!");
	}
	g_object_unref(parser);
	g_object_unref(stream);
}

int main(int argc, char **argv) {
	timed = argc > 1 && !strcmp(argv[1], "--time");
	if (argc < 3 + 2 * timed)
		return 2;
	const char *dir = argv[1 + timed];
	int n = atoi(argv[2 + timed]), rounds = timed ? atoi(argv[4]) : 1;
	char **raw = calloc(n, sizeof *raw);
	gsize *len = calloc(n, sizeof *len);
	g_mime_init();
	for (int i = 0; i < n; i++) {
		char *path = g_strdup_printf("%s/%d.eml", dir, i);
		if (!g_file_get_contents(path, &raw[i], &len[i], NULL))
			return 1;
		g_free(path);
	}
	clock_t start = clock();
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < n; i++)
			record(raw[i], len[i], !timed);
	if (timed)
		printf("%f\n", (double)(clock() - start) / CLOCKS_PER_SEC);
	return 0;
}
