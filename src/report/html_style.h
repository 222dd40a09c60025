/* The style sheet of the report page: colours as variables, which the pictures use too. */
#ifndef SER_REPORT_HTML_STYLE_H
#define SER_REPORT_HTML_STYLE_H

extern const char ser_html_style[];

#endif
