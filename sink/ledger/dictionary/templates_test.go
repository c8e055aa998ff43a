package dictionary_test

import "strings"

// received writes the hops of a message, as several kinds of servers do.
func (g *generator) received() {
	g.line("Return-Path: <{addr}>", "Delivered-To: {addr}")
	for range 1 + g.r.IntN(3) {
		g.line([]string{
			"Received: from {host} ({host} [{ip}])\r\n\tby {host} (Postfix) with ESMTPS id {hex}\r\n\tfor <{addr}>; {date}",
			"Received: from {host} ({host} [{ip}])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)\r\n\t(No client certificate requested)\r\n\tby {host} (Postfix) with ESMTPS id {hex}\r\n\tfor <{addr}>; {date} (CET)",
			"Received: from {host} ({host}. [{ip}])\r\n        by mx.{dom} with ESMTPS id {hex}.{n}\r\n        for <{addr}>\r\n        (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256 bits=128/128);\r\n        {date} (PST)",
			"Received: from {host} ({ip}) by\r\n {host} ({ip}) with Microsoft SMTP Server (version=TLS1_2,\r\n cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.{n}; {date}",
			"Received: from {host} ([{ip}]) by\r\n {host} ([{ip}]) with mapi id 15.20.{n}; {date}",
			"Received: from [{ip}] (helo={host})\r\n\tby {host} with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n\t(Exim 4.97)\r\n\t(envelope-from <{addr}>)\r\n\tid {hex}\r\n\tfor {addr}; {date}",
			"Received: by {host} with SMTP id {hex}; {date} (PDT)",
			"Received: from localhost (localhost [127.0.0.1])\r\n\tby {host} with LMTP id {hex}\r\n\tfor <{addr}>; {date}",
		}[g.r.IntN(8)])
	}
}

// authentication writes what filters and signers leave.
func (g *generator) authentication() {
	if g.r.IntN(3) > 0 {
		g.line("Authentication-Results: {host};\r\n\tdkim=pass header.d={dom} header.s=selector1 header.b={w};\r\n\tspf=pass (sender IP is {ip}) smtp.mailfrom={dom};\r\n\tdmarc=pass (policy=quarantine) action=none header.from={dom};compauth=pass reason=100",
			"Received-SPF: Pass (protection.{dom}: domain of {dom} designates {ip} as permitted sender)\r\n receiver=protection.{dom}; client-ip={ip}; helo={host}; pr=C")
	}
	if g.r.IntN(3) > 0 {
		g.line("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={dom};\r\n s=selector1; t={n}; x={n};\r\n h=From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-SenderADCheck:to:cc:subject:reply-to;\r\n bh={b64};\r\n b={b64}\r\n {b64}{b64}\r\n {b64}{b64}==")
	}
	if g.r.IntN(2) > 0 {
		g.line("ARC-Seal: i=1; a=rsa-sha256; s=arcselector10001; d={dom}; cv=none;\r\n b={b64}{b64}{b64}{b64}==",
			"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d={dom};\r\n s=arcselector10001;\r\n h=From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-AntiSpam-MessageData-ChunkCount:X-MS-Exchange-AntiSpam-MessageData-0:X-MS-Exchange-AntiSpam-MessageData-1;\r\n bh={b64};\r\n b={b64}{b64}{b64}{b64}==",
			"ARC-Authentication-Results: i=1; mx.{dom}; spf=pass\r\n smtp.mailfrom={dom}; dmarc=pass action=none header.from={dom};\r\n dkim=pass header.d={dom}; arc=none")
	}
}

// identification writes the headers that every message has.
func (g *generator) identification() {
	subject := g.pick("Re: ", "Fwd: ", "AW: ", "WG: ", "", "", "") + g.pick("{s}", "Invoice {n}", "Rechnung Nr. {n}", "Your order {n}", "Order confirmation {n}", "Meeting: {s}", "[{w}] {s}", "=?UTF-8?Q?{w}_f=C3=BCr_{w}?=", "=?utf-8?B?{b64}?=")
	g.line("From: "+g.pick("{name} <{addr}>", "\"{name}\" <{addr}>", "<{addr}>", "=?UTF-8?Q?{w}_=C3=BC{w}?= <{addr}>"), "To: "+g.pick("{name} <{addr}>", "<{addr}>", "\"{addr}\" <{addr}>, {name} <{addr}>"))
	if g.r.IntN(3) == 0 {
		g.line("CC: {name} <{addr}>, {name}\r\n <{addr}>")
	}
	g.line("Subject: "+subject, "Date: {date}", "Message-ID: <"+g.pick("{hex}@{dom}", "{n}.{n}.{n}@{dom}", "CA+{hex}@mail.{dom}", "{hex}@eurprd04.prod.{dom}")+">")
	if strings.HasPrefix(subject, "Re:") || strings.HasPrefix(subject, "AW:") {
		g.line("References: <{hex}@{dom}>\r\n <{hex}@{dom}>", "In-Reply-To: <{hex}@{dom}>", "Thread-Topic: {s}", "Thread-Index: {b64}")
	}
	g.line("MIME-Version: 1.0")
}

// extras writes the headers of single systems.
func (g *generator) extras() {
	switch g.r.IntN(6) {
	case 0, 1:
		g.line("Accept-Language: de-DE, en-US", "Content-Language: en-US", "X-MS-Has-Attach: yes", "X-MS-TNEF-Correlator:",
			"authentication-results: dkim=none (message not signed)\r\n header.d=none;dmarc=none action=none header.from={dom};",
			"x-ms-publictraffictype: Email", "x-ms-traffictypediagnostic: {hex}:EE_", "x-ms-office365-filtering-correlation-id: {hex}",
			"x-ms-exchange-senderadcheck: 1", "x-ms-exchange-antispam-relay: 0",
			"x-microsoft-antispam: BCL:0;ARA:13230040|{n}|{n}|376014|366016|1800799024|38070700018;",
			"x-forefront-antispam-report: CIP:255.255.255.255;CTRY:;LANG:en;SCL:1;SRV:;IPV:NLI;SFV:NSPM;H:{host};PTR:;CAT:NONE;SFS:(13230040)({n})(376014)(1800799024);DIR:OUT;SFP:1101;",
			"x-ms-exchange-antispam-messagedata-chunkcount: 1", "x-ms-exchange-antispam-messagedata-0: {b64}{b64}{b64}{b64}",
			"X-OriginatorOrg: {dom}", "X-MS-Exchange-CrossTenant-AuthAs: Internal", "X-MS-Exchange-CrossTenant-AuthSource: {host}",
			"X-MS-Exchange-CrossTenant-Network-Message-Id: {hex}", "X-MS-Exchange-CrossTenant-originalarrivaltime: {date} (UTC)",
			"X-MS-Exchange-CrossTenant-fromentityheader: Hosted", "X-MS-Exchange-CrossTenant-id: {hex}", "X-MS-Exchange-CrossTenant-mailboxtype: HOSTED",
			"X-MS-Exchange-CrossTenant-userprincipalname: {b64}", "X-MS-Exchange-Transport-CrossTenantHeadersStamped: {n}",
			"X-MS-Exchange-Organization-SCL: 1", "X-MS-Exchange-Organization-AuthAs: Internal", "X-MS-Exchange-Organization-Network-Message-Id: {hex}")
	case 2:
		g.line("X-Google-DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n        d=1e100.net; s=20230601; t={n}; x={n};\r\n        h=to:subject:message-id:date:from:mime-version:x-gm-message-state\r\n         :from:to:cc:subject:date:message-id:reply-to;\r\n        bh={b64};\r\n        b={b64}{b64}\r\n         {b64}{b64}==",
			"X-Gm-Message-State: {b64}", "X-Google-Smtp-Source: {b64}", "X-Received: by {ip} with SMTP id {hex};\r\n        {date} (PDT)")
	case 3:
		g.line("List-Unsubscribe: <https://{dom}/unsubscribe?u={hex}>, <mailto:unsubscribe@{dom}?subject=unsubscribe>",
			"List-Unsubscribe-Post: List-Unsubscribe=One-Click", "List-Id: <{w}.{dom}>", "Precedence: bulk", "Feedback-ID: {n}:{n}:{n}:{w}",
			"X-Mailer: Mailer [version {n}]", "X-Campaign-Id: {n}", "Reply-To: {addr}", "X-SES-Outgoing: {date}-{ip}", "Auto-Submitted: auto-generated")
	case 4:
		g.line("User-Agent: Mozilla Thunderbird", "Content-Language: de-DE, en-US", "X-Spam-Flag: NO", "X-Spam-Score: -2.1", "X-Spam-Level:",
			"X-Spam-Status: No, score=-2.1 required=5.0 tests=BAYES_00,DKIM_SIGNED,\r\n\tDKIM_VALID,DKIM_VALID_AU,HTML_MESSAGE,SPF_HELO_NONE,SPF_PASS,URIBL_BLOCKED\r\n\tautolearn=ham autolearn_force=no version=3.4.6",
			"X-Virus-Scanned: Debian amavisd-new at {host}", "X-Originating-IP: [{ip}]", "Importance: normal", "X-Priority: 3 (Normal)")
	}
}

// sentence writes one of business letters, in one of several languages.
func (g *generator) sentence() string {
	return g.fill(g.pick(
		"Thank you for your message and for the information", "Please find attached the invoice for your order", "Please let me know if you have any questions",
		"I hope this email finds you well", "Looking forward to hearing from you", "We would like to inform you that the delivery will be made on",
		"As discussed on the phone, I am sending you the documents", "Could you please confirm the date of the meeting", "the order has been shipped and should arrive within the next days",
		"If you have received this message in error, please notify the sender and delete it", "the contract between the company and the customer is valid for one year",
		"we are pleased to offer you the following products at the price of", "Your account has been updated, you can log in at any time with your password",
		"the quantity and the price of this item were not correct in the last report", "This is an automatically generated email, please do not reply",
		"vielen Dank für Ihre Nachricht und Ihr Interesse", "anbei erhalten Sie die Rechnung für Ihre Bestellung", "Für Rückfragen stehen wir Ihnen jederzeit gerne zur Verfügung",
		"wir haben Ihre Bestellung erhalten und werden sie in den nächsten Tagen liefern", "bitte überweisen Sie den Betrag auf das unten angegebene Konto",
		"können wir den Termin auf die nächste Woche verschieben", "nous vous remercions de votre message et restons à votre disposition", "veuillez trouver ci-joint la facture de votre commande",
		"gracias por su mensaje y por la información que nos ha enviado", "la fattura relativa al suo ordine è allegata a questo messaggio",
		"{w} {w} of the {w} and the {w} in {w}", "{w} for {w} is {w} with {w} on {w} by {w}"))
}

func (g *generator) paragraph() string {
	var all []string
	for range 2 + g.r.IntN(4) {
		all = append(all, capital(g.sentence())+g.pick(".", ".", ",", "!", "?"))
	}
	return strings.Join(all, g.pick(" ", "\r\n"))
}

// letter writes the text of a letter.
func (g *generator) letter() {
	g.line(g.pick("Dear {name},", "Hello {w},", "Hi {w},", "Sehr geehrte Damen und Herren,", "Sehr geehrter Herr {w},", "Guten Tag {name},", "Bonjour,", "Dear Sir or Madam,"), "")
	for range 1 + g.r.IntN(4) {
		g.line(g.paragraph(), "")
	}
	g.line(g.pick("Best regards,", "Kind regards,", "Mit freundlichen Grüßen", "Viele Grüße", "Thanks,", "Cordialement,", "Sincerely,"), "", "{name}",
		"{w} GmbH | Tel: +49 {n} {n} | Fax: +49 {n} {n}", "E-Mail: {addr} | https://www.{dom}/", "")
	if g.r.IntN(3) == 0 {
		g.line("-----Original Message-----", "From: {name} <{addr}>", "Sent: {date}", "To: {name} <{addr}>", "Subject: RE: {s}", "", "> "+g.paragraph(), "> ")
	}
}

func (g *generator) plain() {
	g.line("Content-Type: text/plain; "+g.pick("charset=\"utf-8\"", "charset=UTF-8", "charset=utf-8; format=flowed", "charset=\"iso-8859-1\"", "charset=us-ascii"),
		"Content-Transfer-Encoding: "+g.pick("7bit", "8bit", "quoted-printable"), "")
	g.letter()
}

func (g *generator) alternative() {
	boundary := g.pick("----=_Part_{n}_{n}.{n}", "_000_{hex}_", "000000000000{hex}", "------------{hex}", "b1_{hex}")
	boundary = g.fill(boundary)
	g.line("Content-Type: multipart/alternative;\r\n\tboundary=\""+boundary+"\"", "")
	g.parts(boundary)
	g.line("--" + boundary + "--")
}

func (g *generator) parts(boundary string) {
	g.line("--"+boundary, "Content-Type: text/plain; charset=\"utf-8\"", "Content-Transfer-Encoding: quoted-printable", "")
	g.letter()
	g.line("--"+boundary, "Content-Type: text/html; charset=\"utf-8\"", "Content-Transfer-Encoding: "+g.pick("quoted-printable", "8bit"), "")
	g.markup()
}

func (g *generator) attached() {
	boundary := g.fill(g.pick("----=_Part_{n}_{n}.{n}", "_004_{hex}_", "000000000000{hex}", "------------{hex}"))
	inner := boundary + "alt"
	g.line("Content-Type: multipart/mixed;\r\n boundary=\""+boundary+"\"", "", "This is a multi-part message in MIME format.", "--"+boundary,
		"Content-Type: multipart/alternative;\r\n boundary=\""+inner+"\"", "")
	g.parts(inner)
	g.line("--"+inner+"--", "", "--"+boundary)
	name := g.fill(g.pick("invoice-{n}.pdf", "Rechnung_{n}.pdf", "image001.png", "image002.jpg", "report.xlsx", "document.docx", "scan{n}.pdf", "invite.ics"))
	g.line("Content-Type: "+g.pick("application/pdf", "image/png", "image/jpeg", "application/octet-stream", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")+"; name=\""+name+"\"",
		"Content-Description: "+name, "Content-Disposition: "+g.pick("attachment", "inline")+"; filename=\""+name+"\"; size={n};\r\n\tcreation-date=\"{date}\"; modification-date=\"{date}\"",
		"Content-ID: <image001.png@{hex}>", "X-Attachment-Id: f_{hex}", "Content-Transfer-Encoding: base64", "")
	for range 5 + g.r.IntN(20) {
		g.line(g.base64(57))
	}
	g.line("--" + boundary + "--")
}

// report writes what mail systems send by themselves.
func (g *generator) report() {
	b := g.fill("{hex}/{host}")
	g.line("Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\""+b+"\"", "Auto-Submitted: auto-replied", "", "This is a MIME-encapsulated message.", "",
		"--"+b, "Content-Description: Notification", "Content-Type: text/plain; charset=us-ascii", "",
		"This is the mail system at host {host}.", "", "I'm sorry to have to inform you that your message could not", "be delivered to one or more recipients. It's attached below.", "",
		"<{addr}>: host {host}[{ip}] said: 550 5.1.1 <{addr}>: Recipient address", "    rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)", "",
		"--"+b, "Content-Description: Delivery report", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; {host}", "X-Postfix-Queue-ID: {hex}", "X-Postfix-Sender: rfc822; {addr}",
		"Arrival-Date: {date}", "", "Final-Recipient: rfc822; {addr}", "Original-Recipient: rfc822;{addr}", "Action: failed", "Status: 5.1.1", "Remote-MTA: dns; {host}", "Diagnostic-Code: smtp; 550 5.1.1 <{addr}>: Recipient address rejected", "",
		"--"+b, "Content-Description: Undelivered Message Headers", "Content-Type: text/rfc822-headers", "")
	g.identification()
	g.line("", "--"+b+"--")
}
