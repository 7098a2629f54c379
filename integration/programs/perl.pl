#!/usr/bin/perl
# Perl: forks, pipes, signals, files, sockets, sorting.
use strict;
use warnings;
use IO::Handle;
use POSIX qw(:sys_wait_h);
use Socket;
use File::Find;
use File::Temp qw(tempdir);
$| = 1;

my %count;
find(sub { $count{/\.(\w+)$/ ? $1 : '-'}++ if -f }, '/usr/lib/python3');
print join(' ', map { "$_=$count{$_}" } sort keys %count), "\n";

pipe(my $read, my $write) or die;
my $pid = fork() // die;
if (!$pid) { close $read; print $write "line $_\n" for 1 .. 3; exit 6 }
close $write;
print while <$read>;
waitpid($pid, 0);
print 'child: ', $? >> 8, "\n";

my $out = `echo captured; exit 2`;
print $out, $? >> 8, "\n";
open(my $sort, '|-', 'sort -n') or die;
print $sort "$_\n" for (30, 4, 200);
close $sort;

my $got = 0;
$SIG{USR1} = sub { $got++ };
kill 'USR1', $$;
print "signals $got\n";
eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; select(undef, undef, undef, 5); };
print $@;

socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
$a->autoflush(1);
print $a "over a socket\n";
print scalar <$b>;

my $dir = tempdir(DIR => '/work', CLEANUP => 1);
open(my $file, '+>', "$dir/file") or die;
print $file "x" x 10000;
$file->flush;
print -s "$dir/file", "\n";
rename "$dir/file", "$dir/other" or die;
opendir(my $handle, $dir) or die;
print join(' ', sort grep { !/^\./ } readdir $handle), "\n";
my @kids = map { my $n = $_; my $p = fork() // die; exit $n unless $p; $p } 1 .. 5;
print join(' ', map { waitpid($_, 0); $? >> 8 } @kids), "\n";
exit 11;
