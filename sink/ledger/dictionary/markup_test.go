package dictionary_test

// markup writes HTML as the programs of several makers do.
func (g *generator) markup() {
	switch g.r.IntN(3) {
	case 0:
		g.word97()
	case 1:
		g.newsletter()
	default:
		g.simple()
	}
}

func (g *generator) word97() {
	g.line(`<html xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:w="urn:schemas-microsoft-com:office:word" xmlns:m="http://schemas.microsoft.com/office/2004/12/omml" xmlns="http://www.w3.org/TR/REC-html40">`,
		`<head>`, `<meta http-equiv="Content-Type" content="text/html; charset=utf-8">`, `<meta name="Generator" content="Microsoft Word 15 (filtered medium)">`, `<style><!--`, `/* Font Definitions */`,
		`@font-face`, "\t{w}", `	font-family:"Cambria Math"; panose-1:2 4 5 3 5 4 6 3 2 4;`, `@font-face`, `	font-family:Calibri; panose-1:2 15 5 2 2 2 4 3 2 4;`, `/* Style Definitions */`,
		`p.MsoNormal, li.MsoNormal, div.MsoNormal`, `	margin:0cm; font-size:11.0pt; font-family:"Calibri",sans-serif; mso-ligatures:standardcontextual; mso-fareast-language:EN-US;`,
		`a:link, span.MsoHyperlink`, `	mso-style-priority:99; color:#0563C1; text-decoration:underline;`, `span.EmailStyle17`, `	mso-style-type:personal-compose; font-family:"Calibri",sans-serif; color:windowtext;`,
		`.MsoChpDefault`, `	mso-style-type:export-only; font-size:10.0pt;`, `@page WordSection1`, `	size:612.0pt 792.0pt; margin:72.0pt 72.0pt 72.0pt 72.0pt;`, `div.WordSection1`, `	page:WordSection1;`,
		`--></style><!--[if gte mso 9]><xml>`, `<o:shapedefaults v:ext="edit" spidmax="1026" />`, `</xml><![endif]--><!--[if gte mso 9]><xml>`, `<o:shapelayout v:ext="edit">`, `<o:idmap v:ext="edit" data="1" />`, `</o:shapelayout></xml><![endif]-->`,
		`</head>`, `<body lang="DE" link="#0563C1" vlink="#954F72" style="word-wrap:break-word">`, `<div class="WordSection1">`)
	for range 2 + g.r.IntN(5) {
		g.line(`<p class="MsoNormal"><span lang="EN-US" style="mso-fareast-language:DE">` + g.sentence() + `<o:p></o:p></span></p>`)
		g.line(`<p class="MsoNormal"><span style="font-size:10.0pt;font-family:&quot;Arial&quot;,sans-serif;color:black"><o:p>&nbsp;</o:p></span></p>`)
	}
	g.line(`<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm">`, `<p class="MsoNormal"><b>From:</b> {name} &lt;<a href="mailto:{addr}">{addr}</a>&gt; <br>`, `<b>Sent:</b> {date}<br>`, `<b>To:</b> {name} &lt;{addr}&gt;<br>`, `<b>Subject:</b> {s}<o:p></o:p></p>`, `</div>`,
		`</div>`, `</body>`, `</html>`)
}

func (g *generator) newsletter() {
	g.line(`<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">`, `<html xmlns="http://www.w3.org/1999/xhtml"><head>`,
		`<meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />`, `<meta name="viewport" content="width=device-width, initial-scale=1.0" />`, `<title>{s}</title>`, `<style type="text/css">`)
	for range 3 {
		g.buf.WriteString("body, table, td, p, a, li { -webkit-text-size-adjust: 100%; -ms-text-size-adjust: 100%; } table, td { mso-table-lspace: 0pt; mso-table-rspace: 0pt; } img { border: 0; height: auto; line-height: 100%; outline: none; text-decoration: none; }\r\n")
	}
	g.buf.WriteString("@media only screen and (max-width: 600px) { .container { width: 100% !important; } }\r\n</style></head>\r\n")
	g.line(`<body style="margin:0;padding:0;background-color:#f4f4f4;">`, `<div style="display:none;max-height:0;overflow:hidden;">{s}</div>`)
	for range 2 + g.r.IntN(5) {
		g.line(`<table role="presentation" width="100%" border="0" cellspacing="0" cellpadding="0" bgcolor="#ffffff"><tr><td align="center" valign="top" style="padding:10px 20px 10px 20px;">`,
			`<table class="container" align="center" width="600" border="0" cellpadding="0" cellspacing="0" style="max-width:600px;border-collapse:collapse;">`, `<tbody><tr>`,
			`<td style="font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px;color:#333333;text-align:left;">`, `<p style="margin:0 0 10px 0;">`+g.sentence()+`</p>`,
			`<a href="https://www.{dom}/{w}/{w}?utm_source=newsletter&amp;utm_medium=email&amp;utm_campaign={w}&amp;id={hex}" target="_blank" style="color:#0066cc;text-decoration:none;"><strong>{w}</strong></a>`,
			`<img src="https://cdn.{dom}/images/{hex}.png" alt="{w}" width="200" height="100" style="display:block;border:0;" />`, `</td>`, `</tr></tbody></table>`, `</td></tr></table>`)
	}
	g.line(`<p style="font-size:11px;color:#999999;">You are receiving this email because you have subscribed to our newsletter. <a href="https://{dom}/unsubscribe/{hex}">Unsubscribe</a> | <a href="https://{dom}/privacy">Privacy Policy</a><br />&copy; {w}. All rights reserved.</p>`, `</body></html>`)
}

func (g *generator) simple() {
	g.line(`<html><head><meta http-equiv="content-type" content="text/html; charset=UTF-8"></head><body>`, `<div dir="ltr">`+g.sentence()+`<div><br></div>`)
	for range 1 + g.r.IntN(5) {
		g.line(`<div style="font-family: Arial, sans-serif; font-size: 12pt; color: rgb(0, 0, 0);" class="elementToProof">`+g.sentence()+`</div>`, `<p>`+g.sentence()+`<br>`, `</p>`, `<ul><li>{w}</li><li>{w}</li></ul>`)
	}
	g.line(`<table width="600" border="1" cellpadding="4"><tr><td class="b">{w}</td><td align="right">{n}</td></tr></table>`, `<a href="https://{dom}/{n}">{w}</a>`,
		`<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On {date}, {name} &lt;<a href="mailto:{addr}">{addr}</a>&gt; wrote:<br></div>`,
		`<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);padding-left:1ex">`, `<div class="moz-cite-prefix">{s}</div>`, `<blockquote type="cite">{s}</blockquote>`,
		`</blockquote></div></div>`, `</body></html>`)
}
